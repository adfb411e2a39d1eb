"""What a drill works on: plain values that every proof takes."""

from pathlib import Path

from pydantic import Field

from infra.drill.world import World
from infra.model.anchor import Anchor
from infra.model.base import Model
from infra.model.site import Site
from infra.model.snapshot import Manifest, SnapshotId


class Restored(Model):
    """A snapshot as it came out of the repository."""

    id: SnapshotId
    folder: Path
    manifest: Manifest


class Case(Model):
    """A restored snapshot, the world it runs in, and what we know without it."""

    site: Site
    restored: Restored
    anchor: Anchor
    canary_state: Path
    world: World
    client_image: str = ""
    server_problem: str = ""
    login_seconds: float = Field(default=0.0, description="How long the first client took.")

    @property
    def manifest(self) -> Manifest:
        return self.restored.manifest
