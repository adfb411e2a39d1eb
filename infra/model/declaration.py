"""What a stack says of itself in its `stack.yaml`, beside its templates.

Everything that is done with a stack follows from this and from the site file: no code asks for a
stack's name to know what to do with it. docs/stacks.md tells how to write one.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from infra.model.base import Model
from infra.model.fields import Label, Port, PublishedPort, Variable

FILE = "stack.yaml"
#: Below a stack's folder on the host, a file for each that it needs; it may hold nothing else.
SECRETS = "secrets"
#: Of the stacks that come with meshkeeper; on a host they lie in the same shape below the admin's home.
_TREE = Path(__file__).resolve().parents[1] / "docker"


def _published(value: Any) -> Any:
    """`443/udp` as a port; anything else is for pydantic to refuse."""
    if isinstance(value, str) and value.count("/") == 1:
        port, protocol = value.split("/")
        return {"port": port, "protocol": protocol}
    if not isinstance(value, dict):
        raise ValueError("no port with its protocol; write such as 9000/udp")
    return value


def _below(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError("no path below the stack's folder; write such as config/app.yaml")
    if parts[0] == SECRETS:
        raise ValueError(f"the folder {SECRETS} is filled by needs.secrets alone; write another")
    return path


OpenPort = Annotated[PublishedPort, BeforeValidator(_published), Field(examples=["443/udp"])]
RelativePath = Annotated[str, AfterValidator(_below)]
Mode = Annotated[str, StringConstraints(pattern=r"^[0-7]{3,4}$"), Field(examples=["2750"])]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n]*$")]


class Needs(Model):
    """What must be there for it."""

    ports: tuple[OpenPort, ...] = Field(
        default=(), description="Published on the host, and let through its firewall."
    )
    stacks: tuple[Label, ...] = Field(
        default=(), description="Rolled out before it, on the same host."
    )
    secrets: tuple[Variable, ...] = Field(
        default=(), description="Each a file secrets/NAME for its containers to mount."
    )


class Web(Model):
    """Its page: https://NAME.DOMAIN, through the stack that routes."""

    name: Label
    port: Port = Field(description="On which the container listens, in the network `mesh`.")


class Reload(Model):
    """How a running container takes over files without being made anew."""

    container: Label
    files: tuple[RelativePath, ...]
    command: tuple[str, ...] = Field(min_length=1, description="Run inside the container.")
    holds: tuple[Port, ...] = Field(
        default=(), description="TCP ports of the host at which new connections wait meanwhile."
    )


class Snapshots(Model):
    """How a snapshot of its folder `data` is made, and what each must hold."""

    server: Label = Field(description="The container that alone may change the data.")
    sidecar: Label = Field(
        description="The container that makes snapshots, by its /backup/snapshot.py."
    )
    database: RelativePath = Field(description="Of SQLite: no log of another may lie beside it.")
    holds: tuple[RelativePath, ...] = Field(
        default=(), description="The other files that a snapshot must hold."
    )


class Question(Model):
    """A request, and the right answer to it."""

    url: str = Field(description="A template, such as https://status.{{ site.domain }}/.")
    status: Annotated[int, Field(ge=100, le=599)] = 200
    shows: dict[str, str] = Field(default={}, description="Fields of its JSON, and their values.")


class InsideQuestion(Question):
    """Asked in a container's own network, so 127.0.0.1 is the container itself."""

    container: Label


InsideCheck = Literal["caddy_configuration"]
OutsideCheck = Literal["landing_page", "leads_to_https", "server_key"]


class Gate(Model):
    """What must be so for a rollout to stand. That all containers run, and are healthy where they
    say so themselves, needs no word."""

    inside: tuple[InsideQuestion, ...] = ()
    inside_checks: tuple[InsideCheck, ...] = Field(
        default=(), description="By meshkeeper's own code."
    )
    outside: tuple[Question, ...] = Field(default=(), description="As the world asks.")
    outside_checks: tuple[OutsideCheck, ...] = ()
    watch_seconds: Annotated[float, Field(ge=1, le=60)] = Field(
        default=5, description="How long its containers are watched after they were started."
    )


class Declaration(Model):
    """A stack's `stack.yaml`."""

    needs: Needs = Needs()
    web: Web | None = None
    routes_web: bool = Field(
        default=False, description="It routes to the pages of all others, and so comes after them."
    )
    data: tuple[RelativePath, ...] = Field(
        default=(), description="Folders that only the containers write to; never touched."
    )
    snapshot: Snapshots | None = Field(
        default=None,
        description="Its data are kept before a rollout that may change them, and go back with it.",
    )
    home_folders: dict[RelativePath, Mode] = Field(
        default={}, description="Folders in the admin's home that it fills, and their modes."
    )
    verbatim: tuple[RelativePath, ...] = Field(
        default=(), description="Programs: files that are no templates."
    )
    included: tuple[RelativePath, ...] = Field(
        default=(), description="Files that only its templates include."
    )
    acme_root: RelativePath | None = Field(
        default=None, description="Where it looks for a private ACME server's root."
    )
    reads: dict[Label, tuple[str, ...]] = Field(
        default={},
        description="Container → beginnings of the paths that it reads at its start, for which it "
        "is started anew. Not named here: all files.",
    )
    reload: Reload | None = None
    interrupts: dict[Label, Sentence] = Field(
        default={}, description="Container → what users notice when it is replaced."
    )
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _snapshots_are_of_the_data(self) -> "Declaration":
        if self.snapshot and "data" not in self.data:
            raise ValueError("a snapshot is made of the folder data; write data: [data]")
        return self


class DeclaredStack(NamedTuple):
    """A declaration, where its templates lie on this machine, and its place in the admin's home."""

    declaration: Declaration
    folder: Path
    place: PurePosixPath


Declarations = Mapping[str, DeclaredStack]


@cache
def built_in() -> Declarations:
    """The stacks that come with meshkeeper, by name."""
    return {
        file.parent.name: DeclaredStack(
            Declaration.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))),
            file.parent,
            PurePosixPath("docker") / file.parent.relative_to(_TREE).as_posix(),
        )
        for file in sorted(_TREE.rglob(FILE))
    }
