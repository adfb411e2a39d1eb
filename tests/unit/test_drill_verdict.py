"""The verdict as a table: strict about what is known, and about what is not."""

import pytest

from infra.drill.verdict import verdict
from infra.model.drill import Evidence, Kind, Outcome, Verdict

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
NOT_REACHED, UNKNOWN = Outcome.NOT_REACHED, Outcome.COULD_NOT_RUN


def evidence(outcomes: dict[Kind, Outcome]) -> list[Evidence]:
    """All kinds passed, but for those named."""
    return [
        Evidence(kind=kind, outcome=outcome, expected="", found="", reason=f"because {outcome}")
        for kind, outcome in (dict.fromkeys(Kind, PASSED) | outcomes).items()
    ]


@pytest.mark.parametrize(
    ("outcomes", "expected", "reason"),
    [
        ({}, Verdict.VERIFIED, ""),
        ({Kind.DATA: FAILED}, Verdict.FAILED, "data: because failed."),
        (
            {Kind.DATA: FAILED, Kind.LOGIN: UNKNOWN},
            Verdict.FAILED,
            "data: because failed.",
        ),
        (
            {Kind.DATA: FAILED, Kind.LOGIN: NOT_REACHED},
            Verdict.FAILED,
            "data: because failed.",
        ),
        (
            {Kind.LOGIN: UNKNOWN, Kind.RUNNING_CLIENT: UNKNOWN},
            Verdict.COULD_NOT_RUN,
            "client login, running client: because could not run.",
        ),
        (
            {Kind.RELAY: NOT_REACHED},
            Verdict.COULD_NOT_RUN,
            "There is no evidence of: relay identity.",
        ),
    ],
)
def test_a_verdict_follows_from_the_evidence(
    outcomes: dict[Kind, Outcome], expected: Verdict, reason: str
) -> None:
    assert verdict(evidence(outcomes)) == (expected, reason)


@pytest.mark.parametrize("missing", list(Kind))
def test_five_passes_are_not_enough(missing: Kind) -> None:
    found = [one for one in evidence({}) if one.kind is not missing]
    assert verdict(found)[0] is Verdict.COULD_NOT_RUN


def test_without_any_evidence_nothing_is_known() -> None:
    assert verdict([])[0] is Verdict.COULD_NOT_RUN
