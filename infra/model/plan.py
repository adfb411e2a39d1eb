"""A change is a value, and a plan is an ordered list of changes."""

import hashlib
from typing import Generic, TypeVar

from pydantic import Field

from infra.model.base import Model


class Change(Model):
    """One atomic difference between what is wanted and what was observed.

    Each area has its own subclasses, which carry what their applier needs. Secrets only as
    references, diffs masked: a change is shown in terminals, logs and the Prefect UI.
    """

    item: str = Field(description="What it changes, as `area.name`: `host.firewall`.")
    summary: str = Field(description="One line for people: what will be done and why.")
    detail: str = Field(default="", description="A diff or a list, secrets masked.")
    interrupts: str = Field(default="", description="What users notice; empty: nothing.")


C = TypeVar("C", bound=Change)


class Plan(Model, Generic[C]):
    """Ordered changes for one target (a host, or a stack on a host). No changes: in order."""

    target: str
    changes: tuple[C, ...] = ()
    notes: tuple[str, ...] = Field(
        default=(), description="What is left as it is, and why: nothing that would be done."
    )

    @property
    def empty(self) -> bool:
        return not self.changes

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the plan's JSON: the same plan has the same digest."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def describe(self) -> str:
        """The one text for dry run, log and report: a line per change, its details below."""
        head = f"{self.target}: in order" if self.empty else f"{self.target}:"
        notes = [f"  note: {note}" for note in self.notes]
        return "\n".join([head, *(line for c in self.changes for line in _lines(c)), *notes])


def _lines(change: Change) -> list[str]:
    details = [*change.detail.splitlines(), *([change.interrupts] if change.interrupts else [])]
    return [f"  - {change.item}: {change.summary}", *(f"      {line}" for line in details)]
