"""Containers of a drill: hardened, bounded, without a way out, and reached only by exec."""

import io
import re
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount
from pydantic import Field

from infra.access.docker import engine
from infra.drill.world import World
from infra.errors import StepFailed
from infra.model.base import Model

#: For each container.
MEMORY = "512m"
#: Bytes that one command in a container may print.
OUTPUT_LIMIT = 4 * 1024 * 1024
#: An address that no route leads to (RFC 5737): Docker's resolver may forward nothing to the
#: machine's own one, which it did even for internal networks before Engine 26 (CVE-2024-29018).
NO_RESOLVER = "192.0.2.1"

#: Lines; a schema's error alone has several, and both streams come mixed.
LAST_WORDS = 12

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m|[^\t\n\x20-\x7e]")

Content = bytes | Path


class Recipe(Model):
    """What differs from container to container."""

    image: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default={})
    volumes: dict[str, str] = Field(default={})
    read_volumes: dict[str, str] = Field(default={})
    aliases: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    networked: bool = True


def create(world: World, role: str, recipe: Recipe) -> Container:
    """Create (not start) a container; it sees nothing of this machine but what is put into it."""
    client = engine()
    endpoint = client.api.create_endpoint_config(aliases=[role, *recipe.aliases])
    network: dict[str, Any] = {"network_mode": "none"}
    if recipe.networked:
        network = {
            "network": world.network,
            "networking_config": {world.network: endpoint},
            "dns": [NO_RESOLVER],
        }
    return client.containers.create(
        recipe.image,
        list(recipe.command),
        entrypoint=list(recipe.entrypoint),
        name=world.named(role),
        labels=world.labels,
        environment=recipe.environment,
        mounts=_mounts(world, recipe),
        cap_add=list(recipe.capabilities),
        **network,
        **_HARDENED,
    )


_HARDENED: dict[str, Any] = {
    "user": "0:0",
    "read_only": True,
    "tmpfs": {"/tmp": "size=64m,mode=1777", "/run": "size=16m"},  # noqa: S108 (a mount point)
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": MEMORY,
    "memswap_limit": MEMORY,
    "nano_cpus": 1_000_000_000,
    "pids_limit": 256,
    "healthcheck": {"test": ["NONE"]},
    "log_config": LogConfig(type="json-file", config={"max-size": "2m", "max-file": "1"}),
}


def _mounts(world: World, recipe: Recipe) -> list[Mount]:
    writable = [(role, place, False) for role, place in recipe.volumes.items()]
    readable = [(role, place, True) for role, place in recipe.read_volumes.items()]
    return [
        Mount(
            target=place,
            source=world.named(role),
            read_only=read_only,
            labels=world.labels,
            no_copy=True,
        )
        for role, place, read_only in writable + readable
    ]


def put(container: Container, place: str, files: Mapping[str, Content]) -> None:
    """Copy files (0600, root) into the folder `place`, which lies on a volume."""
    with tempfile.TemporaryFile() as spool:
        with tarfile.open(fileobj=spool, mode="w") as archive:
            for name, content in files.items():
                _add(archive, name, content)
        spool.seek(0)
        container.put_archive(place, spool)


def _add(archive: tarfile.TarFile, name: str, content: Content) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o600
    if isinstance(content, bytes):
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
        return
    member.size = content.stat().st_size
    with content.open("rb") as stream:
        archive.addfile(member, stream)


def execute(world: World, role: str, command: Sequence[str]) -> bytes:
    """Run a command in a running container and return what it printed.

    Raises StepFailed when it fails, or prints more than OUTPUT_LIMIT.
    """
    api = engine().api
    step = f"{' '.join(command[:3])!r} in the drill's {role}"
    try:
        run = api.exec_create(world.named(role), list(command))["Id"]
        stream: Any = api.exec_start(run, stream=True, demux=True)
        try:
            output, errors = _read(stream, step)
        finally:
            # The SDK leaves the connection of an exec open, and offers no other way to close it.
            stream._response.close()
        status = api.exec_inspect(run)["ExitCode"]
    except NotFound:
        raise StepFailed(f"{step} can't be run: that container is gone.") from None
    if status != 0:
        raise StepFailed(f"{step} ended with {status}: {readable(errors or output)}")
    return output


def _read(stream: Any, step: str) -> tuple[bytes, bytes]:
    output, errors = bytearray(), bytearray()
    for stdout, stderr in stream:
        output += stdout or b""
        errors += stderr or b""
        if len(output) + len(errors) > OUTPUT_LIMIT:
            raise StepFailed(f"{step} printed more than {OUTPUT_LIMIT} bytes.")
    return bytes(output), bytes(errors)


def is_running(world: World, role: str) -> bool:
    try:
        return bool(engine().containers.get(world.named(role)).status == "running")
    except NotFound:
        return False


def ended_for_lack_of_memory(world: World, role: str) -> bool:
    return bool(engine().containers.get(world.named(role)).attrs["State"]["OOMKilled"])


def remove(world: World, role: str) -> None:
    """Kill and remove a container, if it is there."""
    try:
        engine().containers.get(world.named(role)).remove(force=True, v=False)
    except NotFound:
        return


def last_words(world: World, role: str) -> str:
    """The last lines that a container logged, fit to be read in a report."""
    return readable(engine().containers.get(world.named(role)).logs(tail=LAST_WORDS))


def readable(output: bytes, limit: int = 400) -> str:
    """The end of a program's output in one line of plain text, `limit` characters at most."""
    text = _ESCAPES.sub("", output[-4 * limit :].decode(errors="replace"))
    return " ".join(text.split())[-limit:]
