"""What the host says about its own backups, and what we make of it."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from infra.backup.collect import HostReport, freshness_problems, sidecar_problems

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def ago(minutes: float) -> str:
    return f"{NOW - timedelta(minutes=minutes):%Y%m%dT%H%M%SZ}"


def report(**said: object) -> HostReport:
    """A host in order: the sidecar has run for days and made a snapshot half an hour ago."""
    in_order = {
        "fresh": ago(0),
        "fresh_error": "",
        "snapshots": {ago(0): 81_920},
        "last_error": "",
        "last_own": ago(30),
        "sidecar": "running",
        "sidecar_started": NOW - timedelta(days=3),
        "now": NOW,
    }
    return HostReport.model_validate(in_order | said)


def test_a_host_in_order_has_no_problems() -> None:
    assert sidecar_problems(report(), 60, NOW) == []


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            {"fresh": None, "fresh_error": "noise_private.key is missing"},
            "No fresh snapshot could be made: noise_private.key is missing",
        ),
        ({"fresh": None, "fresh_error": "\x1b[2Jall is well\n"}, "made: ??2Jall is well?"),
        (
            {"last_error": "2026-11-24 11:30:00 UTC: the disk is full"},
            "The sidecar's own last snapshot failed: 2026-11-24 11:30:00 UTC: the disk is full",
        ),
        ({"sidecar": "exited"}, "headscale-backup is exited"),
        ({"sidecar": "missing", "sidecar_started": None}, "headscale-backup is missing"),
        ({"last_own": ago(121)}, "no snapshot by itself for 121 min"),
        ({"last_own": None}, "no snapshot by itself for 4320 min"),
        ({"now": NOW - timedelta(minutes=6)}, "The host's clock is off"),
        ({"now": NOW + timedelta(minutes=6), "last_own": ago(0)}, "The host's clock is off"),
    ],
)
def test_each_failure_of_the_sidecar_is_told(said: dict[str, object], problem: str) -> None:
    (told,) = sidecar_problems(report(**said), 60, NOW)
    assert problem in told


def test_a_loop_that_has_just_begun_gets_its_time() -> None:
    begun = NOW - timedelta(minutes=119)
    assert sidecar_problems(report(last_own=None, sidecar_started=begun), 60, NOW) == []
    assert sidecar_problems(report(last_own=None, sidecar_started=begun), 30, NOW) != []


def test_what_is_called_fresh_must_be_there() -> None:
    (told,) = freshness_problems(report(snapshots={ago(60): 81_920}), ago(60))
    assert f"says that it made {ago(0)}, which is not among its snapshots" in told


def test_what_is_called_fresh_must_be_newer_than_all_that_is_stored() -> None:
    assert freshness_problems(report(), None) == []
    assert freshness_problems(report(), ago(60)) == []
    assert freshness_problems(report(fresh=None), ago(60)) == []
    for stored in (ago(0), ago(-1)):
        (told,) = freshness_problems(report(), stored)
        assert f"calls {ago(0)} fresh, which is not newer than {stored}" in told


@pytest.mark.parametrize(
    "said",
    [
        {"snapshots": {"../../etc/passwd": 1}},
        {"snapshots": {ago(0): -1}},
        {"fresh": "$(reboot)"},
        {"last_own": "20261399T990000Z"},
        {"fresh_error": "x" * 2_000},
        {"sidecar": "sleeping"},
        {"now": "soon"},
        {"now": "2026-11-24T12:00:00"},
        {"fresh": "\u0662\u0660261124T120000Z"},
        {"more": "than asked for"},
    ],
)
def test_an_answer_of_another_form_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        report(**said)
