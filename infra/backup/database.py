"""What a snapshot's database holds, against what its manifest says."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from pydantic import Field, ValidationError

from infra.model.base import Model
from infra.model.snapshot import Credential, MeshFacts, NodeFact, Text

#: Seconds for the child, and bytes of its answer.
_TIMEOUT, _LIMIT = 60, 16 * 1024 * 1024


class DatabaseFacts(Model):
    """What the child process says: the same as in MeshFacts, or why it could not read."""

    problem: Text = ""
    tables: dict[Text, int] = Field(default={}, max_length=200)
    users: tuple[Text, ...] = Field(default=(), max_length=1_000)
    nodes: tuple[NodeFact, ...] = Field(default=(), max_length=10_000)
    credentials: tuple[Credential, ...] = Field(default=(), max_length=10_000)


def check_database(path: Path, expected: MeshFacts) -> list[str]:
    """Problems of an unpacked database, as sentences: damaged, or not as in the manifest."""
    found = _facts(path)
    if found.problem:
        return [f"{path.name}: expected an intact database, found: {found.problem}."]
    return [
        *_differing_tables(expected.tables, found.tables),
        *_differing("users", expected.users, found.users),
        *_differing("nodes", expected.nodes, found.nodes),
        *_differing("credentials", expected.credentials, found.credentials),
    ]


def _facts(path: Path) -> DatabaseFacts:
    command = [sys.executable, "-I", "-m", "infra.backup.database_facts", str(path)]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return DatabaseFacts(problem=f"it could not be read within {_TIMEOUT} s")
    if child.returncode != 0 or len(child.stdout) > _LIMIT:
        return DatabaseFacts(problem=_last_line(child))
    try:
        return DatabaseFacts.model_validate_json(child.stdout)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])[:80]
        return DatabaseFacts(problem=f"values of another form than Headscale's ({where})")


def _last_line(child: "subprocess.CompletedProcess[bytes]") -> str:
    lines = child.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"its reader ended with status {child.returncode}"


def _differing_tables(expected: dict[str, int], found: dict[str, int]) -> list[str]:
    return [
        f"{table}: expected {expected.get(table, 'no')} rows, found {found.get(table, 'no')}."
        for table in sorted(expected.keys() | found.keys())
        if expected.get(table) != found.get(table)
    ]


def _differing(what: str, expected: Sequence[object], found: Sequence[object]) -> list[str]:
    """The first difference."""
    for number, (wanted, seen) in enumerate(zip_longest(expected, found, fillvalue="none"), 1):
        if wanted != seen:
            return [f"{what}, number {number}: expected {_short(wanted)}, found {_short(seen)}."]
    return []


def _short(value: object) -> str:
    return repr(value)[:250]
