"""How far one backup run goes, and what it still tells when it can't go on."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.cli.schema import EXAMPLE
from flows import backup
from infra.backup.collect import HostReport
from infra.backup.report import snapshot_time
from infra.errors import StepFailed, Unreachable
from infra.model.anchor import Anchor
from infra.model.backup import StoredSnapshot
from infra.site_file import load_site
from tests.samples import FACTS

FIRST, SECOND, THIRD = (f"20261123T{hour}0000Z" for hour in (10, 11, 12))

#: No flow opens anything here.
OPENED: Any = SimpleNamespace(site=load_site(EXAMPLE))


def found_on_host() -> backup.Found:
    report = HostReport(
        fresh=THIRD,
        fresh_error="",
        snapshots=dict.fromkeys((FIRST, SECOND, THIRD), 1024),
        last_error="",
        last_own=THIRD,
        sidecar="running",
        sidecar_started=None,
        now=datetime.now(UTC),
    )
    return backup.Found(Anchor(), [], report)


def collected(monkeypatch: pytest.MonkeyPatch, errors: dict[str, Exception]) -> backup.Found:
    """What a run finds whose host answers with `errors` when it is asked for these snapshots."""

    def collect(_opened: Any, found: backup.Found, snapshot: str, _folder: Any) -> Any:
        found.fetched += 1024
        if snapshot in errors:
            raise errors[snapshot]
        created_at = snapshot_time(snapshot)
        stored = StoredSnapshot(id=snapshot, created_at=created_at, size=1024, restic_id="r")
        return stored, FACTS.model_copy(update={"users": (snapshot,)})

    monkeypatch.setattr(backup, "collect", collect)
    found = found_on_host()
    backup.collect_all(None, found, Path())  # type: ignore[arg-type]  # `collect` is ours
    return found


def ids(found: backup.Found) -> list[str]:
    return [stored.id for stored in found.stored]


def problems(found: backup.Found) -> list[str]:
    return backup.problems_of(OPENED, found, datetime.now(UTC))


def test_a_lost_connection_stops_a_run_and_what_was_stored_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = Unreachable("The connection broke.")
    found = collected(monkeypatch, {SECOND: lost})
    assert (ids(found), found.stopped_by) == ([FIRST], lost)


def test_a_bad_snapshot_stops_no_other_and_its_reason_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = collected(monkeypatch, {SECOND: StepFailed("x" * 1_000_000)})
    assert ids(found) == [FIRST, THIRD]
    assert [(refused.id, len(refused.reason)) for refused in found.refused] == [(SECOND, 2_000)]


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_SECONDS"])
def test_a_host_that_offers_more_than_a_run_may_take_waits_for_the_next(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(backup, limit, {"MOST_BYTES": 1024, "MOST_SECONDS": -1}[limit])
    found = collected(monkeypatch, {})
    assert (len(found.stored), found.waiting) == {"MOST_BYTES": (2, 1), "MOST_SECONDS": (0, 3)}[
        limit
    ]


def test_bad_snapshots_use_up_what_a_run_may_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "MOST_BYTES", 1024)
    found = collected(monkeypatch, dict.fromkeys((FIRST, SECOND, THIRD), StepFailed("It is bad.")))
    assert (len(found.refused), found.waiting) == (2, 1)


def test_what_came_of_a_snapshot_that_failed_was_fetched_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fetch(_opened: Any, _host: str, _snapshot: str, folder: Path) -> int:
        (folder / "headscale.tar").write_bytes(bytes(1000))
        raise StepFailed("It is too long.")

    monkeypatch.setattr(backup, "fetch_snapshot", fetch)
    found, folder = found_on_host(), tmp_path / "staging"
    with pytest.raises(StepFailed):
        backup.collect(OPENED, found, FIRST, folder)
    assert (found.fetched, list(folder.iterdir())) == (1000, [])


def test_after_too_many_bad_ones_only_the_newest_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a host that was repaired would have nothing stored until the bad ones have expired."""
    monkeypatch.setattr(backup, "MOST_REFUSED", 1)
    found = collected(monkeypatch, {FIRST: StepFailed("It is bad.")})
    assert (len(found.refused), found.untried, ids(found)) == (1, 1, [THIRD])
    assert any("1 more snapshots were not tried" in problem for problem in problems(found))


def test_a_bad_snapshot_is_no_recovery_point(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, {THIRD: StepFailed("It is damaged.")})
    point = backup.on_host(found, datetime.now(UTC))
    assert point is not None
    assert point.id == SECOND


def test_changes_between_the_snapshots_of_one_run_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, {})
    assert f"user {THIRD} appeared" in found.changes


def test_a_host_that_invents_changes_without_end_is_told_and_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backup, "MOST_CHANGES", 2)
    found = collected(monkeypatch, {})
    assert len(found.changes) == 3  # of four
    assert any("More changed" in problem for problem in problems(found))


def test_changes_that_are_all_told_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "MOST_CHANGES", 4)
    found = collected(monkeypatch, {})
    assert len(found.changes) == 4
    assert not any("More changed" in problem for problem in problems(found))
