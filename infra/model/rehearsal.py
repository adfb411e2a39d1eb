"""Another version of headscale on data that is there, and what its rehearsal found."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from infra.model.base import Model
from infra.model.drill import Evidence
from infra.model.snapshot import SnapshotId


class Upgrade(Model):
    """What has to be rehearsed before it touches the host."""

    running: str | None = Field(description="Version on the host; None: it does not tell.")
    wanted: str = Field(description="Version in the site file.")

    def describe(self) -> str:
        return f"headscale {self.running or 'of an unknown version'} → {self.wanted}"


class RehearsalVerdict(StrEnum):
    """`failed`: the upgrade would do harm. `could not run`: we don't know. Both refuse it."""

    PASSED = "passed"
    FAILED = "failed"
    COULD_NOT_RUN = "could not run"


class RehearsalReport(Model):
    """Which snapshot the new version was started on, each proof, and how long it took."""

    site: str
    running: str | None = Field(description="Version of the snapshot's server.")
    wanted: str = Field(description="Version that was started on its data.")
    snapshot: SnapshotId | None
    snapshot_age_seconds: float | None = Field(description="When the rehearsal began.")
    evidence: tuple[Evidence, ...]
    verdict: RehearsalVerdict
    reason: str = Field(default="", description="Why it has not passed.")
    not_fresh: str = Field(
        default="", description="Why the snapshot was not taken for this rehearsal; empty: it was."
    )
    started_at: datetime = Field(description="UTC.")
    seconds: float

    @property
    def headline(self) -> str:
        """The one sentence for terminal, UI and log."""
        way = Upgrade(running=self.running, wanted=self.wanted).describe()
        on = f" on snapshot {self.snapshot}" if self.snapshot else ""
        return f"{way}: the rehearsal{on} {_ENDS[self.verdict]}"


_ENDS = {
    RehearsalVerdict.PASSED: "passed.",
    RehearsalVerdict.FAILED: "failed. The host was not touched.",
    RehearsalVerdict.COULD_NOT_RUN: "could not run. The host was not touched.",
}
