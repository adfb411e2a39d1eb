"""A drill's evidence, verdict and report."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from infra.model.base import Model
from infra.model.snapshot import SnapshotId

#: The phases of a recovery, as the report calls them.
RESTORE, START, CLIENT = "restore from the repository", "start the server", "client online"


class Verdict(StrEnum):
    """`failed`: the backup is bad. `could not run`: we don't know. They never look alike."""

    VERIFIED = "verified"
    FAILED = "failed"
    COULD_NOT_RUN = "could not run"


class Kind(StrEnum):
    """The six kinds of evidence; each catches what the others miss."""

    FILES = "files"
    IDENTITY = "server identity"
    DATA = "data"
    LOGIN = "client login"
    RUNNING_CLIENT = "running client"
    RELAY = "relay identity"


class Outcome(StrEnum):
    """`not reached`: an earlier failure made it impossible to look (e.g. no server started)."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"
    COULD_NOT_RUN = "could not run"


class Evidence(Model):
    """One proof: what was expected, what was found, and the reason when they differ."""

    kind: Kind
    outcome: Outcome
    expected: str
    found: str
    reason: str = ""
    seconds: float = 0.0


class DrillReport(Model):
    """What was restored, from when, each proof, and how long it took."""

    site: str
    snapshot: SnapshotId | None
    snapshot_created_at: datetime | None = Field(description="UTC.")
    image: str | None
    evidence: tuple[Evidence, ...]
    verdict: Verdict
    reason: str = Field(default="", description="Why it is not verified, in one sentence.")
    started_at: datetime
    phases: dict[str, float] = Field(description="Seconds per phase; their sum: recovery time.")
    recovery_point_seconds: float | None = Field(
        default=None, description="Age of the snapshot when the drill began."
    )
