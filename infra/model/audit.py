"""What an audit found of a site's hosts: read, and nothing changed."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from infra.model.base import Model


class Grade(StrEnum):
    """`could not be asked`: we don't know. It never looks like one of the others."""

    IN_ORDER = "in order"
    TO_DO = "to do"
    NOT_ASKED = "could not be asked"


class Finding(Model):
    """One thing that was asked, and the answer."""

    item: str = Field(description="As in the list of the hardened host: `host.sshd`.")
    grade: Grade
    state: str = Field(description="How it is, in words.")
    proof: str = Field(description="What was asked.")
    todo: str = Field(default="", description="What to do; empty: nothing.")


class HostAudit(Model):
    host: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = Field(
        default=(), description="What was not put as a question, and why."
    )


class AuditReport(Model):
    site: str
    started_at: datetime
    hosts: tuple[HostAudit, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for host in self.hosts for finding in host.findings)

    @property
    def grade(self) -> Grade:
        """Of the whole: what is to do outweighs what could not be asked."""
        grades = {finding.grade for finding in self.findings}
        return next((g for g in (Grade.TO_DO, Grade.NOT_ASKED) if g in grades), Grade.IN_ORDER)

    @property
    def score(self) -> str:
        """`24 of 26 in order`."""
        in_order = [one for one in self.findings if one.grade is Grade.IN_ORDER]
        return f"{len(in_order)} of {len(self.findings)} in order"
