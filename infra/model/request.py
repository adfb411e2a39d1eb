"""What a flow is asked for: a site's name and simple choices, never a secret.

These models are the forms in the Prefect UI.
"""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from infra.model.fields import Label

SiteName = Annotated[str, Field(description="The site's domain, as in its site file.")]
#: Which there are is for the site file to say (infra/model/declaration.py).
StackName = Annotated[Label, Field(examples=["headscale"])]


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


class BackupRequest(BaseModel):
    site: SiteName


class AuditRequest(BaseModel):
    site: SiteName


class DrillRequest(BaseModel):
    site: SiteName
    snapshot: Annotated[str, StringConstraints(pattern=r"^(latest|[0-9]{8}T[0-9]{6}Z)$")] = Field(
        default="latest", description="`latest`, or a snapshot's id such as 20261123T120000Z."
    )
