"""The report of one backup run."""

from datetime import datetime

from pydantic import Field

from infra.model.base import Model
from infra.model.snapshot import SnapshotId


class StoredSnapshot(Model):
    """A snapshot that this run verified and stored."""

    id: SnapshotId
    created_at: datetime
    size: int = Field(description="Bytes of the archive.")
    restic_id: str


class RefusedSnapshot(Model):
    """A snapshot that this run fetched and found bad."""

    id: SnapshotId
    reason: str


class RecoveryPoint(Model):
    """The newest snapshot that a kind of loss leaves behind."""

    id: SnapshotId | None = None
    age_seconds: float | None = Field(default=None, description="When the run ended.")


class BackupReport(Model):
    """What a backup run found, stored and refused."""

    site: str
    started_at: datetime
    stored: tuple[StoredSnapshot, ...] = Field(description="Oldest first.")
    refused: tuple[RefusedSnapshot, ...] = ()
    newest_verified: SnapshotId | None
    newest_size: int | None = Field(
        default=None, description="Bytes of its archive; None: it is no longer on the host."
    )
    changes: tuple[str, ...] = Field(
        default=(), description="In the mesh, since the last verified snapshot before this run."
    )
    compared_with: SnapshotId | None = None
    if_data_is_damaged: RecoveryPoint | None = Field(
        description="The newest on the host; None: it could not be asked."
    )
    if_host_is_lost: RecoveryPoint = Field(description="The newest in the repository.")
    repository: str
    kept: int = Field(description="Snapshots of this stack in the repository.")
    sidecar_last_own: SnapshotId | None = Field(description="The newest that the host made itself.")
    problems: tuple[str, ...] = Field(default=(), description="Each makes the run a failed one.")
