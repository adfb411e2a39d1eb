"""A person's answer to a plan, and what is kept of a yes."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from infra.model.base import Model

#: Characters of a plan's digest that people are shown.
SHORT = 12


class Answer(Model):
    """What a person says to one plan: the form in the Prefect UI, and what the terminal sends."""

    answer: Literal["yes", "no"] = Field(
        title="Shall this be done?", description="After a no the run ends, and nothing is touched."
    )
    name: str = Field(
        title="Your name",
        description="Kept with the plan, as who decided.",
        min_length=1,
        max_length=80,
    )
    plan: str = Field(title="Plan", description="The one that is shown: leave it as it is.")


class Approval(Model):
    """A yes: who gave it, when, and to which plan."""

    by: str
    at: datetime = Field(description="UTC.")
    plan: str = Field(description="SHA-256 (hex) of the plan's JSON.")
