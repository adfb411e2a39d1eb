"""A part of the lab as a value: one container, with the files it needs before it starts."""

from typing import Any

from pydantic import Field

from infra.model.base import Model


class Leg(Model):
    """A container's place on a network; without an address the engine chooses one."""

    network: str
    address: str | None = None


class File(Model):
    path: str
    content: bytes
    mode: int = 0o644


class Part(Model):
    name: str
    image: str
    command: tuple[str, ...]
    legs: tuple[Leg, ...]
    files: tuple[File, ...] = ()
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further arguments of the SDK's `containers.create`."
    )
