"""Proof 3: nothing that the mesh consists of is missing, as Headscale itself tells it."""

import hashlib

from infra.drill import observer, server
from infra.drill.case import Case
from infra.drill.compare import (
    Found,
    anchor_problems,
    data_problems,
    lost_rows,
    policy_problems,
)
from infra.drill.containers import execute
from infra.drill.proofs.outcome import failed, listed, passed
from infra.errors import Failed, StepFailed
from infra.mesh.headscale import Argv, list_nodes, list_users, parse_nodes, parse_users
from infra.model.drill import Evidence, Kind
from infra.model.snapshot import MeshFacts
from infra.text import counted


def prove(case: Case) -> Evidence:
    """Catches lost rows, a WAL left behind, a half migration, an empty or foreign policy."""
    facts = case.manifest.facts
    expected = _summary(facts)
    try:
        found = _ask(case)
        migrated = _migration_problems(case, found)
    except Failed as error:
        return failed(kind=Kind.DATA, expected=expected, found="no data", reason=error.message)
    problems = [
        *data_problems(facts, found),
        *migrated,
        *_policy_problems(found.policy_sha256, case),
        *anchor_problems(case.manifest, case.anchor),
    ]
    reason = listed(problems)
    if problems:
        return failed(kind=Kind.DATA, expected=expected, found=_summary(found), reason=reason)
    return passed(kind=Kind.DATA, expected=expected, found=_summary(found))


def _ask(case: Case) -> Found:
    if case.server_problem:
        raise StepFailed(f"{case.image} does not start on this snapshot: {case.server_problem}")
    return Found(
        tables=_intact(observer.rows(case.world)),
        users=tuple(user.name for user in parse_users(_ask_server(case, list_users()))),
        nodes=parse_nodes(_ask_server(case, list_nodes())),
        policy_sha256=_policy(case),
    )


def _intact(rows: observer.Rows) -> dict[str, int]:
    if rows.problem:
        raise StepFailed(f"SQLite finds the restored database damaged: {rows.problem}")
    return rows.tables


def _migration_problems(case: Case, found: Found) -> list[str]:
    """A server of the snapshot's own version migrates nothing."""
    if case.upgraded is None:
        return []
    return lost_rows(found.tables, _intact(observer.served_rows(case.world)))


def _policy_problems(found: str | None, case: Case) -> list[str]:
    if case.upgraded is None:
        return policy_problems(found, case.manifest, case.anchor)
    brought = found == case.upgraded.policy_sha256
    return [] if brought else ["policy: it is not the one that the upgrade brings"]


def _ask_server(case: Case, command: Argv) -> bytes:
    return execute(case.world, server.RESTORED, command)


def _policy(case: Case) -> str | None:
    """SHA-256 of the policy that the server works with; None: it has none."""
    text = _ask_server(case, ("headscale", "policy", "get"))
    if not text.strip():
        return None
    # The command ends what it prints with a newline of its own.
    return hashlib.sha256(text.removesuffix(b"\n")).hexdigest()


def _summary(facts: MeshFacts | Found) -> str:
    routes = sum(len(node.approved_routes) for node in facts.nodes)
    rows = sum(facts.tables.values())
    policy = f"policy {facts.policy_sha256[:12]}…" if facts.policy_sha256 else "no policy"
    return (
        f"{counted(len(facts.users), 'user')}, {counted(len(facts.nodes), 'node')}, "
        f"{counted(routes, 'approved route')}, {counted(rows, 'row')} in "
        f"{counted(len(facts.tables), 'table')}, {policy}"
    )
