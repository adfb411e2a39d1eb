"""From evidence to a verdict: a pure function, and the strict one."""

from collections.abc import Sequence

from infra.model.drill import Evidence, Kind, Outcome, Verdict


def verdict(evidence: Sequence[Evidence]) -> tuple[Verdict, str]:
    """The verdict, and in one sentence why it is not `verified`.

    A failure outweighs what could not be looked at; anything less than six passes is unknown.
    """
    if failures := _with(evidence, Outcome.FAILED):
        return Verdict.FAILED, _reasons(failures)
    if unknown := _with(evidence, Outcome.COULD_NOT_RUN):
        return Verdict.COULD_NOT_RUN, _reasons(unknown)
    missing = [kind for kind in Kind if kind not in _kinds(_with(evidence, Outcome.PASSED))]
    if missing:
        return Verdict.COULD_NOT_RUN, f"There is no evidence of: {', '.join(missing)}."
    return Verdict.VERIFIED, ""


def _with(evidence: Sequence[Evidence], outcome: Outcome) -> list[Evidence]:
    return [one for one in evidence if one.outcome is outcome]


def _kinds(evidence: Sequence[Evidence]) -> set[Kind]:
    return {one.kind for one in evidence}


def _reasons(evidence: Sequence[Evidence]) -> str:
    """Each reason once, with the proofs that gave it."""
    kinds: dict[str, list[str]] = {}
    for one in evidence:
        kinds.setdefault(one.reason.rstrip("."), []).append(one.kind.value)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in kinds.items()) + "."
