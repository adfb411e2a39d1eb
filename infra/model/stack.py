"""A stack as it is wanted, what a rollout may do to it, and what it did."""

import hashlib
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from infra.model.admission import Admission
from infra.model.approval import Approval
from infra.model.base import Model
from infra.model.declaration import Gate, Reload, Snapshots
from infra.model.mesh import MeshPlan
from infra.model.plan import Change, Plan
from infra.model.rehearsal import Upgrade
from infra.model.request import StackName
from infra.model.snapshot import SnapshotId

#: The tag of the canary, which the policy gives no access to anything.
CANARY_TAG = "tag:meshkeeper-canary"
#: Beside a stack's files from the first change until its gate has passed.
PENDING = ".rollout-pending"


class RenderedFile(Model):
    content: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()

    @property
    def mark(self) -> str:
        """What a plan has in its place."""
        return self.sha256


class RenderedSecret(Model):
    """A file with a secret. Guesses could be compared with its hash, so a plan has another mark."""

    value: SecretStr
    mark: str = Field(description="HMAC (SHA-256, hex) with a key of the control machine.")

    @property
    def content(self) -> str:
        """For the host alone."""
        return self.value.get_secret_value()

    @property
    def sha256(self) -> str:
        """To be compared with what the host has, and told to nobody."""
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
    secrets: dict[str, RenderedSecret] = Field(default={}, description="By path, too.")
    containers: dict[str, str] = Field(description="Name → mark of what it is to be started with.")
    container_images: dict[str, str] = Field(description="Name → image.")
    memory: dict[str, int] = Field(description="Name → the container's limit in bytes.")
    snapshot: Snapshots | None = None
    reload: Reload | None = None
    interrupts: dict[str, str] = Field(
        default={}, description="Container → what users notice when it is replaced."
    )
    gate: Gate = Field(default=Gate(), description="With this site's addresses in its questions.")

    @property
    def images(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.container_images.values()))

    @property
    def written(self) -> dict[str, RenderedFile | RenderedSecret]:
        """All that lies in its directory, by path."""
        return {**self.files, **self.secrets}

    @property
    def server(self) -> str | None:
        """The container that alone may change the data; None: no snapshot is made of them."""
        return self.snapshot.server if self.snapshot else None


class ShipImage(Change):
    """Send an image to the host's engine."""

    kind: Literal["ship"] = "ship"
    image: str
    image_id: str = Field(description="`sha256:…`, the same on every engine.")


class WriteFile(Change):
    kind: Literal["write"] = "write"
    path: str = Field(description="Below the stack's directory.")
    sha256: str = Field(description="Of the wanted content (hex); for a secret its mark.")


class StartStack(Change):
    """`compose up`: makes anew the containers that differ, and only those."""

    kind: Literal["start"] = "start"
    containers: tuple[str, ...]
    migrates: bool = Field(
        default=False,
        description="Another image gets the data, which are kept first by a snapshot.",
    )


class ReloadStack(Change):
    """Let a running container take over files that it can reload; nothing is made anew."""

    kind: Literal["reload"] = "reload"


class TakeDown(Change):
    """Remove the containers of a stack that is no longer wanted; its folder stays."""

    kind: Literal["down"] = "down"
    project: str


StackChange = Annotated[
    ShipImage | WriteFile | StartStack | ReloadStack | TakeDown, Field(discriminator="kind")
]
StackPlan = Plan[StackChange]


class RolloutPlan(Model):
    """All that a rollout would do: what `meshkeeper plan` shows, too."""

    stacks: dict[StackName, StackPlan]
    images: dict[str, str] = Field(
        default={}, description="Ids by name: what is to serve, whether it has to be sent or not."
    )
    mesh: MeshPlan | None = Field(default=None, description="None: headscale was not asked for.")
    upgrade: Upgrade | None = Field(default=None, description="Rehearsed before anything is asked.")
    way: tuple[str, ...] = Field(
        default=(),
        description="Versions of headscale through which this run goes, a rollout each; empty: it is "
        "one rollout.",
    )
    retired: dict[str, tuple[StackPlan, ...]] = Field(
        default={}, description="Host → stacks there that the site no longer names, to take down."
    )
    room: tuple[Admission, ...] = Field(default=(), description="Per host: whether all of it fits.")

    @property
    def parts(self) -> tuple[Plan[Any], ...]:
        """In the order of the rollout."""
        retired = [plan for plans in self.retired.values() for plan in plans]
        return (*self.stacks.values(), *([self.mesh] if self.mesh else []), *retired)

    @property
    def empty(self) -> bool:
        return all(part.empty for part in self.parts)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the plan's JSON: what an approver has said yes to.

        What was measured of the hosts is another at each look, and no part of that.
        """
        return hashlib.sha256(self.model_dump_json(exclude={"room"}).encode()).hexdigest()

    def describe(self) -> str:
        """The one text for terminal, UI and log."""
        upgrade = [f"rehearsed: {self.upgrade.describe()}"] if self.upgrade else []
        rooms = [admission.describe() for admission in self.room if admission.describe()]
        parts = [part.describe() for part in self.parts]
        return "\n".join([*parts, *upgrade, *self.described_way, *rooms])

    @property
    def described_way(self) -> tuple[str, ...]:
        """Nothing where it is one rollout."""
        told = "in this run, a rollout each: headscale "
        return (told + " → ".join(self.way),) if self.way else ()


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


class PutBack(Model):
    """A stack that serves again as it did before."""

    checks: tuple[Check, ...] = ()
    data_of: SnapshotId | None = Field(
        default=None, description="Its data are those of this snapshot; None: not touched."
    )
    diff: str = Field(
        default="",
        description="What the release that failed had otherwise, as the host says (unified).",
    )


class RolloutReport(Model):
    """What a rollout planned, did and proved."""

    site: str
    plan: RolloutPlan
    approval: Approval | None = Field(
        default=None, description="None: nobody was asked, by schedule, by wish or for no change."
    )
    applied: tuple[Applied, ...] = ()
    checks: tuple[Check, ...] = ()
    users_created: tuple[str, ...] = ()
    canary: str = Field(default="", description="Name and address of the enrolled canary.")
    canary_enrolled: bool = Field(default=False, description="In this run.")
    failure: str = Field(default="", description="Why it failed, and what was put back.")
    diffs: dict[StackName, str] = Field(
        default={}, description="By stack that was put back: what it had otherwise (unified)."
    )
