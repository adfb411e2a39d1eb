"""tests/cases/backup/changes.yaml: what is told about two snapshots."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.backup.changes import changes
from infra.model.snapshot import MeshFacts

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "backup" / "changes.yaml").read_text()
)


def edited(case: dict[str, Any]) -> MeshFacts:
    nodes = {node["id"]: node for node in CASES["mesh"]["nodes"]}
    if changed := case.get("node"):
        nodes[changed["id"]] = nodes.get(changed["id"], {}) | changed
    nodes.pop(case.get("without"), None)
    facts = CASES["mesh"] | {"nodes": list(nodes.values())} | case.get("edit", {})
    return MeshFacts.model_validate(facts)


@pytest.mark.parametrize("name", CASES["cases"])
def test_what_is_told(name: str) -> None:
    case = CASES["cases"][name]
    before = MeshFacts.model_validate(CASES["mesh"])
    assert list(changes(before, edited(case))) == case["told"]
