"""Planner cases: each file in tests/cases/mesh says what a mesh has, and what is then planned."""

import json
from pathlib import Path

import pytest

from infra.model.observation import MeshState
from infra.planning.mesh import plan_mesh

CASES = sorted((Path(__file__).parents[1] / "cases/mesh").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_for_a_mesh_with(path: Path) -> None:
    case = json.loads(path.read_text())
    state = MeshState.model_validate(case["state"]) if case["state"] else None
    plan = plan_mesh("vps", case["users"], case["canary_key"], state)
    assert [f"{c.item}: {c.summary}" for c in plan.changes] == case["plan"], case["because"]
