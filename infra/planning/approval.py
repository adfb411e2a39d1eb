"""What a plan's approver reads. Pure."""

from textwrap import indent
from typing import Any

from infra.model.approval import SHORT
from infra.model.plan import Plan
from infra.model.stack import RolloutPlan

#: What a person is asked about.
Approvable = RolloutPlan | Plan[Any]


def question(plan: Approvable, *, again: bool) -> str:
    """The plan as terminal and UI show it; `again`: another one was approved before.

    Indented text is code in Markdown, where nothing that a plan quotes acts as markup.
    """
    head = "This is what would be done, and what it would interrupt:"
    if again:
        head = "The approved plan no longer fits the host. This is the new one:"
    return f"{head}\n\n{indent(plan.describe(), '    ')}\n\nPlan {plan.digest[:SHORT]}."
