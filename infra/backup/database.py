"""What a snapshot's database holds, against what its manifest says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.model.snapshot import MeshFacts, NodeFact

#: Seconds for the child, and bytes of its answer.
_TIMEOUT, _LIMIT = 60, 16 * 1024 * 1024


def check_database(path: Path, expected: MeshFacts) -> list[str]:
    """Problems of an unpacked database, as sentences: damaged, or not as in the manifest."""
    found = _facts(path)
    if "problem" in found:
        return [f"{path.name}: expected an intact database, found: {found['problem']}."]
    nodes = [NodeFact.model_validate(node) for node in found["nodes"]]
    return [
        *_differing_tables(expected.tables, found["tables"]),
        *_differing("users", list(expected.users), found["users"]),
        *_differing("nodes", [str(node) for node in expected.nodes], [str(n) for n in nodes]),
    ]


def _facts(path: Path) -> dict[str, Any]:
    command = [sys.executable, "-I", "-m", "infra.backup.database_facts", str(path)]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"it could not be read within {_TIMEOUT} s"}
    if child.returncode != 0 or len(child.stdout) > _LIMIT:
        return {"problem": _last_line(child)}
    facts: dict[str, Any] = json.loads(child.stdout)
    return facts


def _last_line(child: "subprocess.CompletedProcess[bytes]") -> str:
    lines = child.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"its reader ended with status {child.returncode}"


def _differing_tables(expected: dict[str, int], found: dict[str, int]) -> list[str]:
    return [
        f"{table}: expected {expected.get(table, 'no')} rows, found {found.get(table, 'no')}."
        for table in sorted(expected.keys() | found.keys())
        if expected.get(table) != found.get(table)
    ]


def _differing(what: str, expected: list[str], found: list[str]) -> list[str]:
    if expected == found:
        return []
    pairs = zip([*expected, "none"], [*found, "none"], strict=False)
    first = next(((e, f) for e, f in pairs if e != f), (f"{len(expected)}", f"{len(found)}"))
    return [f"{what}: expected {first[0][:200]}, found {first[1][:200]}."]
