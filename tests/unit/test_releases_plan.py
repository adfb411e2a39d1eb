"""Which way leads back to a release, what that would lose, and whether there is room for another."""

from typing import Any

import pytest

from infra.errors import BadInput, CouldNotRun
from infra.model.release import HostReleases
from infra.model.request import RollbackRequest
from infra.model.snapshot import Manifest, NodeFact
from infra.planning.rollback import listing, lost, plan_rollback
from infra.planning.room import MARGIN, require_room
from tests.samples import FACTS
from tests.unit.test_stack_plan import STACKS

FIRST, SECOND, THIRD = "20261125T120000Z", "20261126T120000Z", "20261127T120000Z"
SNAPSHOT = "20261126T115959Z"


def release(number: str, version: str, image: str, before: str | None = None) -> dict[str, Any]:
    name = f"headscale/headscale:{version}"
    snapshot = {"id": SNAPSHOT, "image": f"headscale/headscale:{before}"}
    return {
        "id": number,
        "images": {name: image},
        "containers": {"headscale": name},
        "files": {},
        "before": snapshot if before else None,
        "size": 1_500_000,
    }


def host(*releases: dict[str, Any], unfinished: bool = False) -> HostReleases:
    return HostReleases.model_validate(
        {
            "current": releases[-1]["id"] if releases else None,
            "unfinished": unfinished,
            "releases": releases,
            "free": 1_000_000_000,
            "data_size": 1_000_000,
        }
    )


def asked(number: str, **choices: Any) -> RollbackRequest:
    return RollbackRequest(site="cronova.dev", release=number, **choices)


def planned(there: HostReleases, wanted: RollbackRequest) -> list[Any]:
    plan = plan_rollback(STACKS["headscale"], there, wanted)
    return [change.model_dump(include={"kind", "snapshot", "data_of"}) for change in plan.changes]


OTHER_FILES = host(release(FIRST, "0.29.2", "sha256:b"), release(SECOND, "0.29.2", "sha256:b"))
OTHER_PATCH = host(
    release(FIRST, "0.29.1", "sha256:a"), release(SECOND, "0.29.2", "sha256:b", "0.29.1")
)
OTHER_MINOR = host(
    release(FIRST, "0.28.0", "sha256:a"),
    release(SECOND, "0.29.2", "sha256:b", "0.28.0"),
    release(THIRD, "0.29.2", "sha256:b"),
)


def test_files_alone_go_back_without_touching_the_data() -> None:
    assert planned(OTHER_FILES, asked(FIRST)) == [{"kind": "release", "snapshot": False}]


def test_another_patch_keeps_the_present_data_and_goes_on_with_them() -> None:
    assert planned(OTHER_PATCH, asked(FIRST)) == [{"kind": "release", "snapshot": True}]


def test_another_minor_takes_the_data_that_it_can_read() -> None:
    """They lie with the release that replaced it, though another came since."""
    assert planned(OTHER_MINOR, asked(FIRST)) == [
        {"kind": "release", "snapshot": True},
        {"kind": "data", "data_of": SECOND},
    ]


def test_the_data_go_back_too_where_somebody_says_so() -> None:
    assert planned(OTHER_PATCH, asked(FIRST, with_data=True))[1:] == [
        {"kind": "data", "data_of": SECOND}
    ]


def test_a_minor_whose_data_are_not_kept_is_refused() -> None:
    there = host(release(FIRST, "0.28.0", "sha256:a"), release(SECOND, "0.29.2", "sha256:b"))
    with pytest.raises(BadInput, match="No snapshot of the data of 20261125T120000Z"):
        planned(there, asked(FIRST))


def test_data_of_another_minor_than_the_releases_are_refused() -> None:
    """Somebody had brought another version by hand in between, of which a rollout made a release."""
    there = host(
        release(FIRST, "0.28.0", "sha256:a"),
        release(SECOND, "0.29.1", "sha256:c"),
        release(THIRD, "0.29.2", "sha256:b", "0.29.1"),
    )
    with pytest.raises(BadInput, match="No snapshot of the data"):
        planned(there, asked(FIRST))


def test_the_data_are_of_the_version_that_served_whatever_a_renewed_sidecar_calls_them() -> None:
    there = host(
        release(FIRST, "0.28.0", "sha256:a"), release(SECOND, "0.29.2", "sha256:b", "0.29.2")
    )
    assert planned(there, asked(FIRST))[1:] == [{"kind": "data", "data_of": SECOND}]


CUT_OFF = host(
    release(FIRST, "0.28.0", "sha256:a"),
    release(SECOND, "0.29.2", "sha256:b", "0.28.0"),
    unfinished=True,
).model_copy(update={"current": FIRST})


def test_from_a_cut_off_rollout_there_is_one_way_back_and_it_says_what_may_be_lost() -> None:
    with pytest.raises(CouldNotRun, match="cut off before its gate") as refused:
        planned(CUT_OFF, asked(SECOND))
    assert f"meshkeeper rollback --to {FIRST}" in refused.value.hint
    (change,) = plan_rollback(STACKS["headscale"], CUT_OFF, asked(FIRST)).changes
    assert (change.kind, change.data_of) == ("end", SECOND)


def test_an_unknown_release_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadInput) as refused:
        planned(OTHER_FILES, asked(THIRD))
    assert (FIRST in refused.value.hint, SECOND in refused.value.hint) == (True, True)
    with pytest.raises(BadInput, match="that serves"):
        planned(OTHER_FILES, asked(SECOND))


def node(number: int, name: str) -> NodeFact:
    return NodeFact(
        id=number, name=name, user="me", node_key="", machine_key=f"mkey:{name}", addresses=()
    )


def test_what_came_since_is_told_by_name() -> None:
    facts = FACTS.model_copy(update={"users": ("me", "old"), "nodes": (node(1, "a"), node(2, "b"))})
    kept = Manifest.model_validate(
        {
            "id": SNAPSHOT,
            "created_at": "2026-11-26T11:59:59Z",
            "image": "headscale/headscale:0.28.0",
            "files": {},
            "facts": facts,
        }
    )
    # Its key is what it is known by: a name may change, a number be given again.
    told = lost(kept, ["me", "new"], [node(1, "a"), node(2, "phone")])
    assert told == (
        f"The data are those of {SNAPSHOT}:",
        "node b would be back",
        "node phone would be gone, and has to log in again",
        "user new would be gone",
        "user old would be back",
    )
    same = lost(kept, ["me", "old"], [node(1, "a"), node(2, "b")])
    assert same[1:] == ("users and nodes are the same as now",)


def test_the_list_says_which_serves_what_it_takes_and_which_data_are_kept() -> None:
    newest, second, first = listing(OTHER_MINOR).splitlines()
    assert newest.startswith(THIRD)
    assert "serves" in newest
    assert f"snapshot {SNAPSHOT}" in second
    assert "2 MB" in first
    assert "serves" not in first + second


def test_a_full_disk_is_told_in_numbers_before_anything_is_sent() -> None:
    there = OTHER_FILES.model_copy(update={"free": 2 * 50_000_000 + 3_000_000 + MARGIN})
    require_room("vps", there, files=0, images=50_000_000)
    with pytest.raises(CouldNotRun) as refused:
        require_room("vps", there, files=1, images=50_000_000)
    assert "vps has 359 MB of disk left, and a rollout needs 360 MB" in refused.value.message
    assert "Nothing was touched." in refused.value.message
