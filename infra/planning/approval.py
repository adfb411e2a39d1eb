"""What a plan's approver reads. Pure."""

from textwrap import indent, wrap
from typing import Any

from infra.model.approval import SHORT
from infra.model.plan import Plan
from infra.model.stack import RolloutPlan

#: Characters of a line: what the form in the UI shows without scrolling.
WIDTH = 54
#: What a person is asked about.
Approvable = RolloutPlan | Plan[Any]


def question(plan: Approvable, *, again: bool) -> str:
    """The plan as terminal and UI show it; `again`: another one was approved before.

    Indented text is code in Markdown, where nothing that a plan quotes acts as markup.
    """
    head = "This is what would be done, and what it would interrupt:"
    if again:
        head = "The approved plan no longer fits the host. This is the new one:"
    return f"{head}\n\n{indent(_wrapped(plan.describe()), '    ')}\n\nPlan {plan.digest[:SHORT]}."


def _wrapped(text: str) -> str:
    """Each line's rest stands below its beginning, a little deeper."""
    return "\n".join(part for line in text.splitlines() for part in _parts(line))


def _parts(line: str) -> list[str]:
    hanging = " " * (len(line) - len(line.lstrip()) + 4)
    return wrap(
        line, WIDTH, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    ) or [""]
