"""Building evidence: one short function per outcome."""

from functools import partial

from infra.model.drill import Evidence, Outcome

passed = partial(Evidence, outcome=Outcome.PASSED)
failed = partial(Evidence, outcome=Outcome.FAILED)
could_not_run = partial(Evidence, outcome=Outcome.COULD_NOT_RUN)
not_reached = partial(Evidence, outcome=Outcome.NOT_REACHED)


def listed(problems: list[str], limit: int = 6) -> str:
    """Problems in one line; a long list is cut, and says so."""
    more = [f"and {len(problems) - limit} more"] if len(problems) > limit else []
    return "; ".join([problem.rstrip(".") for problem in problems[:limit]] + more)
