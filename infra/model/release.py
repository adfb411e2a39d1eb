"""The releases of a stack that lie on its host, as the host tells them: everything is bounded."""

from typing import Annotated, Literal

from pydantic import Field

from infra.model.approval import Approval
from infra.model.base import Model
from infra.model.host import Text
from infra.model.plan import Change, Plan
from infra.model.request import StackName
from infra.model.snapshot import Sha256, SnapshotId
from infra.model.stack import Check

#: The time at which it was brought (UTC), as 20261127T093000Z.
ReleaseId = SnapshotId


class Before(Model):
    """The data from just before a release was brought: a snapshot like the sidecar's."""

    id: SnapshotId
    image: Text = Field(description="Of the server whose data it holds.")


class Release(Model):
    """What a rollout put on the host."""

    id: ReleaseId
    images: dict[Text, Text] = Field(max_length=64, description="Image ids by name.")
    containers: dict[Text, Text] = Field(max_length=64, description="Image names by container.")
    files: dict[Text, Sha256] = Field(max_length=1_000, description="By path.")
    before: Before | None = Field(description="None: it could not change the data.")
    size: Annotated[int, Field(ge=0)] = Field(description="Bytes on the host, without images.")


class HostReleases(Model):
    """Those of one stack, oldest first, and what there is room for."""

    current: ReleaseId | None = Field(description="Which one serves; None: none was ever brought.")
    unfinished: bool = Field(description="A rollout was cut off before its gate.")
    releases: tuple[Release, ...] = Field(max_length=64)
    free: Annotated[int, Field(ge=0)] = Field(description="Bytes, where there is least.")
    data_size: Annotated[int, Field(ge=0)] = Field(description="Bytes of the stack's data.")


class BringRelease(Change):
    """Files and images of an earlier release, as a new one; the present stays one to come back to."""

    kind: Literal["release"] = "release"
    release: ReleaseId
    snapshot: bool = Field(description="The present data are kept first, by a snapshot.")


class ReplaceData(Change):
    """Put the data in place that lay there just before `data_of` was brought."""

    kind: Literal["data"] = "data"
    data_of: ReleaseId


class EndRollout(Change):
    """Put back what a rollout began that was cut off before its gate."""

    kind: Literal["end"] = "end"
    data_of: ReleaseId | None = Field(
        description="The data may be those again from before this release, which was not finished."
    )


RollbackChange = Annotated[BringRelease | ReplaceData | EndRollout, Field(discriminator="kind")]
RollbackPlan = Plan[RollbackChange]


class RollbackOutlook(Model):
    """What going back to a release takes, and which policy it brings."""

    plan: RollbackPlan
    policy: Sha256 | None = Field(description="None: that stack has no policy.")


class RollbackReport(Model):
    """What was gone back to, what that lost, and the proof that it serves."""

    site: str
    stack: StackName
    plan: RollbackPlan
    approval: Approval | None = Field(default=None, description="None: nobody was asked, by wish.")
    checks: tuple[Check, ...] = ()
    failure: str = Field(default="", description="Why it failed, and what was put back.")
    data_of: SnapshotId | None = Field(
        default=None, description="Of a cut-off rollout's end: the data are those again."
    )
    diff: str = Field(default="", description="What it had otherwise than what serves (unified).")
