"""A rehearsal takes a fresh snapshot where it can, and refuses what it could not prove."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Completed, Failed

from flows import rehearsal
from infra.drill.case import Restored
from infra.drill.findings import Findings
from infra.drill.proofs.outcome import failed, passed
from infra.errors import BackupFailed, BadInput, CouldNotRun
from infra.model.drill import Kind
from infra.model.request import RehearsalRequest
from infra.model.snapshot import Manifest
from tests.samples import FACTS

GOOD = tuple(passed(kind=kind, expected="it", found="it") for kind in Kind)
BAD = (failed(kind=Kind.DATA, expected="3 nodes", found="2 nodes", reason="a node is missing"),)
RESTORED = Restored(
    id="20261127T113000Z",
    folder=Path("/nowhere"),
    manifest=Manifest(
        id="20261127T113000Z",
        created_at=datetime(2026, 11, 27, 11, 30, tzinfo=UTC),
        image="headscale/headscale:0.28.0",
        files={},
        facts=FACTS,
    ),
)


def given(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch, site_name: str) -> Any:
    """How a rehearsal ends, and what it reported, when its parts give these answers."""

    def run(evidence: Any = GOOD, canary: str | None = "nodekey:1", **parts: Any) -> Any:
        published: list[Any] = []
        backup = parts.get("backup", Completed())
        monkeypatch.setattr(rehearsal, "headscale_backup", lambda *_, **__: backup)
        monkeypatch.setattr(rehearsal, "canary_key", lambda *_: canary)
        monkeypatch.setattr(
            rehearsal, "restore_snapshot", lambda *_: given(parts.get("restored", RESTORED))
        )
        monkeypatch.setattr(rehearsal, "case_of", lambda *_: SimpleNamespace())
        monkeypatch.setattr(rehearsal, "prepare", lambda *_: given(parts.get("case")))
        findings = Findings(restored=RESTORED, evidence=evidence)
        monkeypatch.setattr(rehearsal, "proved", lambda *_: findings)
        monkeypatch.setattr(rehearsal, "publish_report", lambda *told: published.append(told[2]))
        request = RehearsalRequest(site=site_name, to="0.29.2")
        state = rehearsal.upgrade_rehearsal(request, return_state=True)
        return state, published[0] if published else None

    return run


def test_what_passed_is_told_with_its_snapshot(rehearsed: Any) -> None:
    state, report = rehearsed()
    assert (state.name, state.message) == ("Passed", report.headline)
    assert "0.28.0 → 0.29.2" in state.message
    assert report.not_fresh == ""


def test_a_host_that_gives_no_fresh_snapshot_is_told_and_stops_nothing(rehearsed: Any) -> None:
    state, report = rehearsed(backup=Failed(message="vps does not answer."))
    assert (state.name, report.not_fresh) == ("Passed", "vps does not answer.")


def test_a_proof_that_failed_refuses_the_upgrade(rehearsed: Any) -> None:
    state, report = rehearsed(evidence=BAD)
    assert state.name == "Failed"
    assert "The host was not touched. data: a node is missing." in state.message
    assert "write 0.28.0 at stacks.headscale.version" in state.message
    assert report.evidence == BAD


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"canary": None}, "No canary is enrolled in production"),
        ({"restored": CouldNotRun("No snapshot.", "Run it.")}, "No snapshot. Run it."),
        ({"case": OSError("x")}, "broke (OSError)"),
        ({"evidence": GOOD[1:]}, "There is no evidence of: files."),
    ],
)
def test_what_nobody_knows_refuses_the_upgrade_as_well(
    rehearsed: Any, parts: dict[str, Any], message: str
) -> None:
    state, report = rehearsed(**parts)
    assert state.name == "CouldNotRun"
    assert message in state.message
    assert report.verdict == "could not run"


def test_what_is_no_snapshot_is_a_bad_backup(rehearsed: Any) -> None:
    state, _ = rehearsed(restored=BackupFailed("It is cut off."))
    assert state.name == "Failed"
    assert "It is cut off." in state.message


def test_a_step_that_headscale_can_not_take_is_bad_input(rehearsed: Any) -> None:
    state, report = rehearsed(case=BadInput("It skips a minor version.", "The way is …"))
    assert (state.name, report) == ("BadInput", None)
