"""A stack as it is wanted, what a rollout may do to it, and what it did."""

import hashlib
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from infra.model.base import Model
from infra.model.mesh import MeshPlan
from infra.model.plan import Change, Plan
from infra.model.request import StackName

#: The tag of the canary, which the policy gives no access to anything.
CANARY_TAG = "tag:meshkeeper-canary"
#: Beside a stack's files from the first change until its gate has passed.
PENDING = ".rollout-pending"


class RenderedFile(Model):
    content: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()


class RenderedStack(Model):
    """One stack as it is wanted on its host."""

    name: StackName
    host: str = Field(description="The host's name in the site file.")
    admin: str = Field(description="The host's administrator, in whose home it lies.")
    directory: PurePosixPath
    folders: dict[PurePosixPath, int] = Field(description="Absolute path → mode; root's own.")
    data: tuple[str, ...] = Field(description="Folders below `directory` that are never observed.")
    files: dict[str, RenderedFile] = Field(description="By path below `directory`.")
    containers: dict[str, str] = Field(description="Name → mark of what it is to be started with.")
    container_images: dict[str, str] = Field(description="Name → image.")

    @property
    def images(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.container_images.values()))


class ShipImage(Change):
    """Send an image to the host's engine."""

    kind: Literal["ship"] = "ship"
    image: str
    image_id: str = Field(description="`sha256:…`, the same on every engine.")


class WriteFile(Change):
    kind: Literal["write"] = "write"
    path: str = Field(description="Below the stack's directory.")
    sha256: str = Field(description="Of the wanted content (hex).")


class StartStack(Change):
    """`compose up`: makes anew the containers that differ, and only those."""

    kind: Literal["start"] = "start"
    containers: tuple[str, ...]


class ReloadCaddy(Change):
    """Let Caddy take over its Caddyfile through its admin API: no connection is dropped."""

    kind: Literal["reload"] = "reload"


StackChange = Annotated[
    ShipImage | WriteFile | StartStack | ReloadCaddy, Field(discriminator="kind")
]
StackPlan = Plan[StackChange]


class RolloutPlan(Model):
    """All that a rollout would do: what `meshkeeper plan` shows, too."""

    stacks: dict[StackName, StackPlan]
    mesh: MeshPlan | None = Field(default=None, description="None: headscale was not asked for.")

    @property
    def parts(self) -> tuple[Plan[Any], ...]:
        """In the order of the rollout."""
        return (*self.stacks.values(), *([self.mesh] if self.mesh else []))


class Applied(Model):
    """A change that was carried out."""

    item: str
    summary: str
    seconds: float


class Check(Model):
    """What a health gate asked, and the right answer that it got."""

    name: str
    found: str
    seconds: float


class RolloutReport(Model):
    """What a rollout planned, did and proved."""

    site: str
    plan: RolloutPlan
    applied: tuple[Applied, ...] = ()
    checks: tuple[Check, ...] = ()
    users_created: tuple[str, ...] = ()
    canary: str = Field(default="", description="Name and address of the enrolled canary.")
    canary_enrolled: bool = Field(default=False, description="In this run.")
