"""The lab's use of Docker: bring a network or a part into being, and take all of it away."""

import io
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import EndpointConfig, IPAMConfig, IPAMPool

from deployments.lab.part import File, Leg, Part
from infra.errors import CouldNotRun

LABEL = "meshkeeper.lab"
#: On each network, which is the first that a boot makes: the directory of the lab's files.
OWNER = "meshkeeper.lab.directory"


def find(engine: DockerClient, name: str) -> Container | None:
    try:
        return engine.containers.get(name)
    except NotFound:
        return None


def owner(engine: DockerClient, network: str) -> Path | None:
    """The directory of the lab that this network belongs to; None where there is no such lab."""
    found = engine.networks.list(names=[f"^{network}$"])
    owners = [
        network.attrs["Labels"][OWNER] for network in found if OWNER in network.attrs["Labels"]
    ]
    return Path(owners[0]) if owners else None


def ensure_network(engine: DockerClient, name: str, subnet: str, directory: Path) -> None:
    """A bridge with `subnet` (`10.77.0.0/24`); the engine assigns from its upper half only.

    `directory`: of the lab's files. Raises CouldNotRun when the addresses are taken.
    """
    if engine.networks.list(names=[f"^{name}$"]):
        return
    start = subnet.removesuffix("0/24")
    pool = IPAMPool(subnet=subnet, iprange=f"{start}128/25", gateway=f"{start}1")
    try:
        engine.networks.create(
            name,
            ipam=IPAMConfig(pool_configs=[pool]),
            labels={LABEL: name, OWNER: str(directory)},
            check_duplicate=True,
        )
    except APIError as error:
        raise CouldNotRun(
            f"The network {name} ({subnet}) could not be made: {error.explanation}.",
            "Another network of this machine has these addresses; `docker network ls` shows it.",
        ) from error


def ensure_part(engine: DockerClient, part: Part) -> bool:
    """Make `part` run; True if it did not. A stopped one is started as it was.

    One that was never started may lack its files (a killed boot): it is made anew.
    """
    container = find(engine, part.name)
    if container and container.status == "running":
        return False
    if container and container.status == "exited":
        container.start()
        return True
    if container:
        container.remove(force=True, v=True)
    _create(engine, part).start()
    return True


def put_files(container: Container, files: Iterable[File]) -> None:
    """Write files into a container, running or not; owned by root."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for file in files:
            entry = tarfile.TarInfo(str(PurePosixPath(file.path).relative_to("/")))
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, time.time()
            archive.addfile(entry, io.BytesIO(file.content))
    container.put_archive("/", stream.getvalue())


def remove_all(engine: DockerClient, prefix: str) -> list[str]:
    """Remove each container, network and volume called `<prefix>-…`; their names."""
    removed: list[str] = []
    for container in engine.containers.list(
        all=True, filters={"name": f"^/{prefix}-"}, ignore_removed=True
    ):
        container.remove(force=True, v=True)
        removed.append(str(container.name))
    for network in engine.networks.list(filters={"name": f"^{prefix}-"}):
        network.reload()
        for guest in network.containers:
            network.disconnect(guest, force=True)
        network.remove()
        removed.append(str(network.name))
    for volume in engine.volumes.list(filters={"name": f"^{prefix}-"}):
        volume.remove(force=True)
        removed.append(volume.name)
    return removed


def _create(engine: DockerClient, part: Part) -> Container:
    first, *others = part.legs
    try:
        container = engine.containers.create(
            part.image,
            list(part.command),
            name=part.name,
            hostname=part.name,
            labels={LABEL: part.name},
            network=first.network,
            networking_config={first.network: _endpoint(engine, first)},
            **part.options,
        )
        for leg in others:
            engine.networks.get(leg.network).connect(container, ipv4_address=leg.address)
    except ImageNotFound as error:
        raise CouldNotRun(
            f"{part.name} needs the image {part.image}, which is not there.", "Run `make lab`."
        ) from error
    except APIError as error:
        raise CouldNotRun(f"{part.name} could not be made: {error.explanation}.") from error
    put_files(container, part.files)
    return container


def _endpoint(engine: DockerClient, leg: Leg) -> EndpointConfig:
    return engine.api.create_endpoint_config(ipv4_address=leg.address)
