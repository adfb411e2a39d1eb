"""The report tells what was restored and what was found, and a stranger's text stays text."""

from datetime import UTC, datetime

import pytest

from infra.drill.report import render
from infra.model.drill import DrillReport, Evidence, Kind, Outcome, Verdict
from infra.text import duration

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def report(verdict: Verdict, *evidence: Evidence, reason: str = "") -> DrillReport:
    return DrillReport(
        site="example.org",
        snapshot="20261123T113000Z",
        snapshot_created_at=datetime(2026, 11, 23, 11, 30, tzinfo=UTC),
        image="headscale/headscale:0.29.2",
        evidence=evidence,
        verdict=verdict,
        reason=reason,
        started_at=NOON,
        phases={"restore from the repository": 1.25, "client online": 2.5},
        recovery_point_seconds=1800,
    )


def test_a_report_states_what_when_and_how_long() -> None:
    text = render(report(Verdict.VERIFIED))
    for fact in (
        "**Verified.**",
        "Snapshot `20261123T113000Z`, taken at 2026-11-23 11:30:00 UTC.",
        "**Recovery point:** 30 min 0 s before",
        "**Recovery time:** 3.8 s",
        "| client online | 2.5 |",
    ):
        assert fact in text


def test_a_drill_that_could_not_run_does_not_look_like_a_failure() -> None:
    text = render(report(Verdict.COULD_NOT_RUN, reason="No Docker engine answers."))
    assert "**Could not run.** Nothing is known" in text
    assert "does not bring the mesh back" not in text


def test_a_drill_in_which_no_client_came_online_does_not_claim_one() -> None:
    failed = report(Verdict.FAILED).model_copy(update={"phases": {"start the server": 2.0}})
    assert "**Recovery time:** 2.0 s and no client came online." in render(failed)


def test_each_proof_stands_with_what_was_expected_and_found() -> None:
    key = "mkey:" + "d8a9e0d4b962" * 5 + "abcd"
    proof = Evidence(
        kind=Kind.IDENTITY, outcome=Outcome.PASSED, expected=key, found=f"{key}; live", seconds=0.23
    )
    assert (
        "- ✔ **server identity: passed** (0.2 s)\n"
        "  - expected: mkey:d8a9e0d4b962…\n"
        "  - found: mkey:d8a9e0d4b962…; live\n"
    ) in render(report(Verdict.VERIFIED, proof))


def test_names_from_the_host_can_not_forge_a_proof() -> None:
    forged = Evidence(
        kind=Kind.DATA,
        outcome=Outcome.FAILED,
        expected="users",
        found="",
        reason="'x'\n- ✔ **relay: passed** [click](https://evil) <img src=x>",
    )
    text = render(report(Verdict.FAILED, forged))
    (line,) = [line for line in text.splitlines() if "evil" in line]
    assert line.startswith("  - found: 'x' - ")
    assert not {"<", "[", "*"} & set(line)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.7, "12 s"), (125, "2 min 5 s"), (7_500, "2 h 5 min"), (90_000, "1 day 1 h")],
)
def test_durations_are_told_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
