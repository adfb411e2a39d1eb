"""What is missing, or too much, in a restored mesh: facts against facts, in sentences."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from pydantic import Field

from infra.model.anchor import Anchor, RolledOutPolicy
from infra.model.base import Model
from infra.model.snapshot import Manifest, MeshFacts, NodeFact, Sha256

#: What a mesh consists of. A migration may make, fill or drop any other table.
MESH_TABLES = ("users", "nodes", "pre_auth_keys", "api_keys")
ROLLOUT_TIME = timedelta(minutes=15)


class Found(Model):
    """What the restored server and its database hold."""

    tables: dict[str, int]
    users: tuple[str, ...]
    nodes: tuple[NodeFact, ...]
    policy_sha256: Sha256 | None = Field(description="None: the server works without a policy.")


def data_problems(expected: MeshFacts, found: Found) -> list[str]:
    """Users, nodes, their properties and rows that differ from what must be there."""
    nodes = {node.name: node for node in found.nodes}
    wanted = {node.name: node for node in expected.nodes}
    changed = [
        problem
        for name, node in wanted.items()
        if name in nodes
        for problem in _node_problems(node, nodes[name])
    ]
    return [
        *_set_problems("users", expected.users, found.users),
        *_set_problems("nodes", wanted, nodes),
        *changed,
        *_row_problems(expected.tables, found.tables),
    ]


def _set_problems(what: str, expected: Iterable[str], found: Iterable[str]) -> list[str]:
    wanted, there = sorted(expected), sorted(found)
    lost = [f"{name!r} is missing" for name in wanted if name not in there]
    extra = [f"{name!r} should not be there" for name in there if name not in wanted]
    if not lost and not extra and len(wanted) == len(there):
        return []
    details = ", ".join((lost + extra)[:8])
    return [f"{what}: expected {len(wanted)}, found {len(there)}: {details}"]


def _node_problems(expected: NodeFact, found: NodeFact) -> list[str]:
    properties = ["node_key", "machine_key", "addresses", "tags", "approved_routes"]
    if not expected.tags:
        # A tagged node belongs to its tags. 0.28 still keeps in its row who had made it, which the
        # API hides and 0.29's migration clears.
        properties.insert(0, "user")
    return [
        f"node {expected.name!r}: {name.replace('_', ' ')}: expected {_shown(wanted)}, "
        f"found {_shown(there)}"
        for name in properties
        if _comparable(wanted := getattr(expected, name))
        != _comparable(there := getattr(found, name))
    ]


def _comparable(value: str | tuple[str, ...]) -> list[str]:
    return [value] if isinstance(value, str) else sorted(value)


def _shown(value: str | tuple[str, ...]) -> str:
    return ", ".join(_comparable(value))[:120] or "none"


def _row_problems(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    return [
        f"table {table!r}: expected {_rows(expected.get(table))}, found {_rows(found.get(table))}"
        for table in sorted(expected.keys() | found.keys())
        if expected.get(table) != found.get(table)
    ]


def lost_rows(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """What a migration made of the rows of which the mesh consists."""
    return [
        f"table {table!r}: {_rows(before.get(table))} before the migration, "
        f"{_rows(after.get(table))} after it"
        for table in MESH_TABLES
        if before.get(table) != after.get(table)
    ]


def _rows(count: int | None) -> str:
    return "no such table" if count is None else f"{count} rows"


def policy_problems(found: str | None, manifest: Manifest, anchor: Anchor) -> list[str]:
    """The policy in force against the manifest, and against what the control machine knows."""
    if found is None:
        return ["policy: expected the one that was rolled out, found an empty one"]
    known = _in_force(anchor.policies, manifest.created_at)
    problems = []
    if found != manifest.facts.policy_sha256:
        problems.append("policy: it is not the one that the manifest names")
    if known and found not in known:
        problems.append("policy: it is not the one that was rolled out for that time")
    return problems


def _in_force(policies: tuple[RolledOutPolicy, ...], moment: datetime) -> set[str]:
    """The policies that a snapshot of this moment may hold; none where we don't know.

    A policy is pinned some minutes after it was put in force, by another clock than the host's;
    one whose rollout was cut off may be in force, and so may the one before it.
    """
    begun = [policy for policy in policies if policy.since <= moment + ROLLOUT_TIME]
    settled = [
        number
        for number, policy in enumerate(begun)
        if policy.confirmed and policy.since <= moment - ROLLOUT_TIME
    ]
    return {policy.sha256 for policy in begun[max(settled, default=0) :]}


def anchor_problems(manifest: Manifest, anchor: Anchor) -> list[str]:
    """Whether the manifest still says what was verified when this snapshot was stored."""
    verified = anchor.last_verified
    if verified and verified.id == manifest.id and verified.facts != manifest.facts:
        return ["the manifest's facts are not those verified when this snapshot was stored"]
    return []
