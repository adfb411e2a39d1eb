"""What a flow is asked for: a site's name and simple choices, never a secret.

These models are the forms in the Prefect UI.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

SiteName = Annotated[str, Field(description="The site's domain, as in its site file.")]
StackName = Literal["headscale", "caddy"]


class ProvisionRequest(BaseModel):
    site: SiteName
    host: str = Field(description="The host's name in the site file.")


class RolloutRequest(BaseModel):
    site: SiteName
    stacks: tuple[StackName, ...] = Field(
        default=("headscale", "caddy"), description="Which stacks to bring to the wanted state."
    )
    approve: Literal["ask", "any"] = Field(
        default="ask",
        description="`ask`: where something would change, the run shows its plan and waits for a yes. "
        "`any`: it goes without asking.",
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
