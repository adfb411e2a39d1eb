"""What a drill works on: plain values that every proof takes."""

from pathlib import Path

from pydantic import Field

from infra.drill.world import World
from infra.model.anchor import Anchor
from infra.model.base import Model
from infra.model.site import Site
from infra.model.snapshot import Manifest, Sha256, SnapshotId


class Restored(Model):
    """A snapshot as it came out of the repository."""

    id: SnapshotId
    folder: Path
    manifest: Manifest


class Upgraded(Model):
    """What a rehearsal runs on the snapshot's data, in place of the snapshot's own server."""

    image: str
    folder: Path = Field(description="The snapshot's data with the wanted configuration.")
    policy_sha256: Sha256 = Field(description="Of the wanted policy's bytes.")


class Case(Model):
    """A restored snapshot, the world it runs in, and what we know without it."""

    site: Site
    restored: Restored
    anchor: Anchor
    canary_state: Path
    world: World
    upgraded: Upgraded | None = Field(default=None, description="None: a drill.")
    client_image: str = ""
    server_problem: str = ""
    login_seconds: float = Field(default=0.0, description="How long the first client took.")

    @property
    def manifest(self) -> Manifest:
        return self.restored.manifest

    @property
    def image(self) -> str:
        """Of the server that is started."""
        return self.upgraded.image if self.upgraded else self.manifest.image

    @property
    def folder(self) -> Path:
        """With the files that this server is started on."""
        return self.upgraded.folder if self.upgraded else self.restored.folder
