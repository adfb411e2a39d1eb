"""What a rollout may do to the mesh itself, once its server serves."""

from typing import Annotated, Literal

from pydantic import Field

from infra.model.plan import Change, Plan


class CreateUser(Change):
    kind: Literal["user"] = "user"
    user: str


class EnrolCanary(Change):
    """Let the canary join, in the place of any that the server has."""

    kind: Literal["canary"] = "canary"


MeshChange = Annotated[CreateUser | EnrolCanary, Field(discriminator="kind")]
MeshPlan = Plan[MeshChange]
