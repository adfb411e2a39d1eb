"""What differs between the manifest and the restored mesh is named exactly."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.drill.compare import Found, anchor_problems, data_problems, policy_problems
from infra.model.anchor import Anchor, VerifiedSnapshot
from infra.model.snapshot import Manifest, MeshFacts, NodeFact

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POLICY, OTHER = "a" * 64, "b" * 64
NOT_ROLLED_OUT = "policy: it is not the one that was rolled out for that time"


def node(name: str, **changed: Any) -> NodeFact:
    plain = {
        "id": 1,
        "name": name,
        "user": "alice",
        "node_key": f"nodekey:{name}",
        "machine_key": f"mkey:{name}",
        "addresses": ("100.64.0.1",),
    }
    return NodeFact.model_validate(plain | changed)


FACTS = MeshFacts(
    server_key="mkey:1",
    derp_key="2",
    users=("alice", "bob"),
    nodes=(node("client-a", approved_routes=("10.0.0.0/8", "10.1.0.0/16")), node("client-b")),
    credentials=(),
    tables={"nodes": 2, "users": 2},
    policy_sha256=POLICY,
)
MANIFEST = Manifest(
    id="20261123T120000Z",
    created_at=NOON,
    image="headscale/headscale:0.29.2",
    files={},
    facts=FACTS,
)


def found(**changed: Any) -> Found:
    same = {
        "tables": FACTS.tables,
        "users": FACTS.users,
        "nodes": FACTS.nodes,
        "policy_sha256": POLICY,
    }
    return Found.model_validate(same | changed)


def verified(facts: MeshFacts, snapshot: str = MANIFEST.id) -> VerifiedSnapshot:
    return VerifiedSnapshot(id=snapshot, created_at=NOON, facts=facts)


def rolled_out(*policies: tuple[str, int]) -> Anchor:
    """An anchor that knows these policies; since when, in minutes after the snapshot."""
    return Anchor.model_validate(
        {"policies": [{"sha256": p, "since": NOON + timedelta(minutes=m)} for p, m in policies]}
    )


def test_a_mesh_that_is_as_the_manifest_says_has_no_problems() -> None:
    assert data_problems(FACTS, found()) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"nodes": FACTS.nodes[:1]}, "nodes: expected 2, found 1: 'client-b' is missing"),
        ({"users": ("alice",)}, "users: expected 2, found 1: 'bob' is missing"),
        (
            {"users": ("alice", "bob", "eve")},
            "users: expected 2, found 3: 'eve' should not be there",
        ),
        (
            {"nodes": (FACTS.nodes[0], node("client-b", node_key="nodekey:new"))},
            "node 'client-b': node key: expected nodekey:client-b, found nodekey:new",
        ),
        (
            {"nodes": (node("client-a", approved_routes=("10.0.0.0/8",)), FACTS.nodes[1])},
            "node 'client-a': approved routes: expected 10.0.0.0/8, 10.1.0.0/16, found 10.0.0.0/8",
        ),
        ({"tables": {"nodes": 1, "users": 2}}, "table 'nodes': expected 2 rows, found 1 rows"),
        ({"tables": {"users": 2}}, "table 'nodes': expected 2 rows, found no such table"),
    ],
)
def test_what_is_missing_is_named(changed: dict[str, Any], problem: str) -> None:
    assert data_problems(FACTS, found(**changed)) == [problem]


def test_the_order_of_routes_does_not_matter() -> None:
    turned = node("client-a", approved_routes=("10.1.0.0/16", "10.0.0.0/8"))
    assert data_problems(FACTS, found(nodes=(turned, FACTS.nodes[1]))) == []


@pytest.mark.parametrize(
    ("policy", "anchor", "problems"),
    [
        (None, Anchor(), ["policy: expected the one that was rolled out, found an empty one"]),
        (OTHER, Anchor(), ["policy: it is not the one that the manifest names"]),
        (POLICY, Anchor(), []),
        (POLICY, rolled_out((POLICY, -60)), []),
        (POLICY, rolled_out((OTHER, -60)), [NOT_ROLLED_OUT]),
        (POLICY, rolled_out((OTHER, -60), (POLICY, -30)), []),
        # The snapshot is older than the rollout of another policy, or younger.
        (POLICY, rolled_out((POLICY, -60), (OTHER, 60)), []),
        (POLICY, rolled_out((POLICY, -60), (OTHER, -30)), [NOT_ROLLED_OUT]),
        # It was taken while a rollout ran, which pins its policy at its end.
        (POLICY, rolled_out((OTHER, -60), (POLICY, 5)), []),
        # It is older than all that we know.
        (POLICY, rolled_out((OTHER, 60)), []),
    ],
)
def test_a_policy_is_held_against_the_manifest_and_what_was_rolled_out(
    policy: str | None, anchor: Anchor, problems: list[str]
) -> None:
    assert policy_problems(policy, MANIFEST, anchor) == problems


@pytest.mark.parametrize("held", [POLICY, OTHER])
def test_a_rollout_that_was_cut_off_makes_neither_policy_a_bad_backup(held: str) -> None:
    known = rolled_out((POLICY, -60), (OTHER, -30))
    cut_off = known.policies[1].model_copy(update={"confirmed": False})
    anchor = known.model_copy(update={"policies": (known.policies[0], cut_off)})
    manifest = MANIFEST.model_copy(
        update={"facts": FACTS.model_copy(update={"policy_sha256": held})}
    )
    assert policy_problems(held, manifest, anchor) == []


def test_a_manifest_rewritten_after_it_was_verified_is_noticed() -> None:
    before = FACTS.model_copy(update={"users": ("alice",)})
    assert anchor_problems(MANIFEST, Anchor(last_verified=verified(before))) == [
        "the manifest's facts are not those verified when this snapshot was stored"
    ]
    assert anchor_problems(MANIFEST, Anchor(last_verified=verified(FACTS))) == []
    assert (
        anchor_problems(MANIFEST, Anchor(last_verified=verified(before, "20261123T110000Z"))) == []
    )


def test_a_tagged_node_belongs_to_its_tags_and_to_no_user() -> None:
    """0.28 keeps in the row who had made it; the API tells nobody, and 0.29 clears it."""
    tagged = node("server", tags=("tag:server",))
    expected = FACTS.model_copy(update={"nodes": (tagged,)})
    asked = found(nodes=[tagged.model_copy(update={"user": ""})])
    assert data_problems(expected, asked) == []
    untagged = asked.model_copy(update={"nodes": (node("server", user=""),)})
    assert data_problems(expected, untagged) == [
        "node 'server': tags: expected tag:server, found none"
    ]
