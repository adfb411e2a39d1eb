"""What a flow is asked for: a site's name and simple choices, never a secret.

These models are the forms in the Prefect UI.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from infra.model.fields import Label

SiteName = Annotated[str, Field(description="The site's domain, as in its site file.")]
#: Which there are is for the site file to say (infra/model/declaration.py).
StackName = Annotated[Label, Field(examples=["headscale"])]
Approve = Annotated[
    Literal["ask", "any"],
    Field(
        description="`ask`: where something would change, the run shows its plan and waits for a yes. "
        "`any`: it goes without asking."
    ),
]


class ProvisionRequest(BaseModel):
    site: SiteName
    host: str = Field(description="The host's name in the site file.")


class RolloutRequest(BaseModel):
    site: SiteName
    stacks: tuple[StackName, ...] = Field(
        default=(),
        description="Which stacks to bring to the wanted state, by their names in the site file; "
        "none: all of them.",
    )
    approve: Approve = "ask"
    through_minors: bool = Field(
        default=False,
        description="Where the wanted headscale skips minor versions (0.27 → 0.29): roll out the "
        "newest patch of each minor between first, one after the other, each with a rehearsal, a yes, "
        "gates and a way back of its own.",
    )


class RollbackRequest(BaseModel):
    site: SiteName
    stack: StackName = Field(default="headscale", description="Which stack to take back.")
    release: Annotated[str, StringConstraints(pattern=r"^[0-9]{8}T[0-9]{6}Z$")] = Field(
        description="A release's id such as 20261127T093000Z; `meshkeeper rollback` lists them."
    )
    with_data: bool = Field(
        default=False,
        description="Take the data back too where the version alone does not demand it: what came "
        "later is lost.",
    )
    approve: Approve = "ask"


class BackupRequest(BaseModel):
    site: SiteName


class RehearsalRequest(BaseModel):
    site: SiteName
    to: Annotated[str, StringConstraints(pattern=r"^(wanted|[0-9]+\.[0-9]+\.[0-9]+)$")] = Field(
        default="wanted", description="`wanted` by the site file, or a version such as 0.29.2."
    )


class AuditRequest(BaseModel):
    site: SiteName


class DrillRequest(BaseModel):
    site: SiteName
    snapshot: Annotated[str, StringConstraints(pattern=r"^(latest|[0-9]{8}T[0-9]{6}Z)$")] = Field(
        default="latest", description="`latest`, or a snapshot's id such as 20261123T120000Z."
    )
