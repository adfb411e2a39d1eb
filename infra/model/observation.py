"""What is asked of a host in one round trip, and the answer.

The answer comes from the host, which is assumed compromised: everything is bounded.
"""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.model.host import Amount, HealthState, HostState, Lines, Text
from infra.model.snapshot import Sha256


class StackQuery(Model):
    """A Compose project to look at, and the directories below it that hold its data."""

    project: str
    directory: PurePosixPath
    exclude: tuple[str, ...] = ("data",)


class ObserveRequest(Model):
    """What to look at on a host, beside the host itself."""

    admin: str
    stacks: tuple[StackQuery, ...] = ()
    images: tuple[str, ...] = Field(default=(), description="Image names whose ids are wanted.")
    database: PurePosixPath | None = Field(default=None, description="Headscale's, if one is.")
    health: bool = Field(
        default=False, description="Also what only an audit asks: it takes longer."
    )


class FileState(Model):
    sha256: Sha256
    mode: Annotated[int, Field(ge=0, le=0o7777)]


class ContainerState(Model):
    image: Text = Field(default="", description="The name by which its image was asked for.")
    image_id: Text = Field(description="`sha256:…` of the image it was made from.")
    running: bool
    health: Text = Field(description="`healthy`, `unhealthy`, `starting`; empty: no check.")
    restart_count: Annotated[int, Field(ge=0)]
    config_hash: Text = Field(description="Compose's hash of the service; empty: not Compose's.")
    mark: Text = Field(description="Its label `meshkeeper.config`; empty: none.")


class MemoryUse(Model):
    """RAM and swap in use, without the page cache that is given back when it is needed."""

    used_bytes: Amount = Field(description="By the whole host.")
    containers: dict[Text, Amount] = Field(max_length=500, description="By running containers.")


class StackState(Model):
    """One Compose project: its files (not its data) and its containers by name."""

    project: Text
    data_bytes: Amount = Field(default=0, description="Of its data, as far as it was counted.")
    files: dict[Text, FileState] = Field(max_length=2_000, description="By relative path.")
    containers: dict[Text, ContainerState] = Field(max_length=100)


class MeshState(Model):
    """What Headscale's database says of users, and of nodes that carry tags."""

    users: Lines
    tagged: dict[Text, Lines] = Field(max_length=1_000, description="Node keys by tag.")


class Observation(Model):
    """A host and its stacks (by project) in one moment; `images` by name: id, absent if missing."""

    host: HostState
    stacks: dict[Text, StackState] = Field(max_length=32)
    images: dict[Text, Text] = Field(max_length=64)
    projects: Lines = Field(description="Compose projects with a container of meshkeeper's.")
    memory: MemoryUse
    mesh: MeshState | None = Field(description="None: there is no database, or none was asked for.")
    health: HealthState | None = Field(description="None: it was not asked for.")
