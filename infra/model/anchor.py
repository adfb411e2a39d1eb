"""The anchor: what the control machine itself knows of a site.

A snapshot and its manifest come from a host that is assumed compromised; this does not.
"""

from datetime import datetime

from pydantic import Field

from infra.model.base import Model
from infra.model.snapshot import MeshFacts, Sha256, SnapshotId


class Canary(Model):
    """The tagged node that the rollout enrolled; its secret state lies beside the anchor."""

    node_name: str
    node_key: str = Field(description="`nodekey:…`, by which the server knows it.")
    address: str = Field(description="Its address in the mesh (IPv4).")
    enrolled_at: datetime = Field(description="UTC. Older snapshots don't know the canary.")


class VerifiedSnapshot(Model):
    """The newest snapshot that was verified, and what it held."""

    id: SnapshotId
    created_at: datetime
    facts: MeshFacts


class RolledOutPolicy(Model):
    """A policy that was put in force, and when (UTC, of the control machine's clock)."""

    sha256: Sha256
    since: datetime
    confirmed: bool = Field(
        default=True, description="False: its rollout began, and nobody knows how it ended."
    )


class Anchor(Model):
    """Pinned at the first rollout (`server_key`, `derp_key`), then updated by verified backups."""

    server_key: str | None = None
    derp_key: str | None = None
    policies: tuple[RolledOutPolicy, ...] = Field(default=(), description="Oldest first.")
    canary: Canary | None = None
    last_verified: VerifiedSnapshot | None = None
    last_reported: VerifiedSnapshot | None = Field(
        default=None, description="Up to here the changes in the mesh were told in a report."
    )
