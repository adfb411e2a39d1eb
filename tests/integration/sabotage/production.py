"""A real production in small: headscale, Caddy, a canary and two nodes, and its real snapshots.

The server runs on the rendered templates; snapshots come from the sidecar's own program.
"""

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from infra.backup.unpack import unpack
from infra.images.ensure import ensure_image
from infra.model.anchor import Anchor, Canary, RolledOutPolicy
from infra.model.site import Site
from infra.model.snapshot import Manifest
from infra.model.stack import CANARY_TAG
from infra.rollout.render import SIDECAR_IMAGE, render_stacks

STEM = "mk-d-production-"
PREFIX = f"{STEM}{os.getpid()}"
CLIENT_IMAGE = "tailscale/tailscale:v1.102.3"
ROOT = "/data/caddy/pki/authorities/local/root.crt"
STATE = "/state/tailscaled.state"
ROUTE = "192.168.77.0/24"


@dataclass
class Snapshot:
    """A snapshot as the sidecar wrote it, and its files."""

    archive: Path
    folder: Path
    manifest: Manifest


@dataclass
class Production:
    """What a mesh leaves behind when its server is lost."""

    site: Site
    anchor: Anchor
    canary_state: bytes
    earlier: Snapshot
    snapshot: Snapshot


@dataclass
class Mesh:
    """The running containers, by what they are for."""

    docker: DockerClient
    site: Site
    folder: Path
    containers: dict[str, Container] = field(default_factory=dict)

    def run(self, role: str, image: str, **options: Any) -> Container:
        name = f"{PREFIX}-{role}"
        self.containers[role] = self.docker.containers.run(
            ensure_image(image), name=name, detach=True, network=PREFIX, **options
        )
        return self.containers[role]

    def execute(self, role: str, *command: str) -> bytes:
        status, output = self.containers[role].exec_run(list(command), demux=True)
        assert status == 0, f"{role}: {command}: {output}"
        return bytes(output[0] or b"")

    def headscale(self, *command: str) -> Any:
        return json.loads(self.execute("headscale", "headscale", *command, "-o", "json"))


@contextmanager
def running_mesh(docker: DockerClient, site: Site, folder: Path) -> Iterator[Mesh]:
    """The containers, in a network without a way out; all gone afterwards."""
    clear(docker)
    docker.networks.create(PREFIX, internal=True)
    try:
        yield Mesh(docker, site, folder)
    finally:
        clear(docker)


def clear(docker: DockerClient) -> None:
    """Remove our own production, and those of test runs that were killed."""
    for container in docker.containers.list(all=True, ignore_removed=True):
        if is_ours(str(container.name)):
            container.remove(force=True, v=True)
    for network in docker.networks.list():
        if is_ours(str(network.name)):
            network.remove()


def is_ours(name: str) -> bool:
    if not name.startswith(STEM):
        return False
    owner = name.removeprefix(STEM).partition("-")[0]
    return owner == str(os.getpid()) or not Path("/proc", owner).exists()


def lost_production(docker: DockerClient, site: Site, folder: Path) -> Production:
    """Let a mesh live, take two snapshots of it with one more commit between, and lose it."""
    with running_mesh(docker, site, folder) as mesh:
        start_server(mesh)
        for user in site.stacks.headscale.users:
            mesh.headscale("users", "create", user)
        canary = enrol(mesh, "meshkeeper-canary", ("--tags", CANARY_TAG))
        for name in ("client-a", "client-b"):
            enrol(mesh, name, ("--user", "1"), f"--advertise-routes={ROUTE}")
        mesh.headscale("nodes", "approve-routes", "--identifier", "2", "--routes", ROUTE)
        enrolled_at = datetime.now(UTC).replace(microsecond=0)
        earlier = take_snapshot(mesh)
        mesh.headscale("users", "create", "latecomer")
        snapshot = take_snapshot(mesh)
        mesh.containers["meshkeeper-canary"].stop(timeout=5)
        state = read_file(mesh.containers["meshkeeper-canary"], STATE)
    facts = snapshot.manifest.facts
    anchor = Anchor(
        server_key=facts.server_key,
        derp_key=facts.derp_key,
        policies=(RolledOutPolicy(sha256=facts.policy_sha256, since=enrolled_at),),
        canary=Canary(
            node_name="meshkeeper-canary",
            node_key=next(node.node_key for node in facts.nodes if node.addresses[0] == canary),
            address=canary,
            enrolled_at=enrolled_at,
        ),
    )
    return Production(site, anchor, state, earlier, snapshot)


def start_server(mesh: Mesh) -> None:
    """headscale as the rollout starts it, and Caddy before it under the real name."""
    for path, file in render_stacks(mesh.site)["headscale"].files.items():
        target = mesh.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.content)
    for name in ("data", "backups"):
        (mesh.folder / name).mkdir()
    mesh.run(
        "headscale",
        f"headscale/headscale:{mesh.site.stacks.headscale.version}",
        command="serve",
        hostname="headscale",
        tmpfs={"/var/run/headscale": ""},
        volumes=binds(mesh.folder, "config:/etc/headscale", "data:/var/lib/headscale"),
    )
    wait(lambda: mesh.containers["headscale"].exec_run(["headscale", "health"]).exit_code == 0)
    command = f"caddy reverse-proxy --from {mesh.site.headscale_name} --internal-certs --to"
    caddy = mesh.docker.api.create_endpoint_config(aliases=[mesh.site.headscale_name])
    mesh.run(
        "caddy",
        f"caddy:{mesh.site.stacks.caddy.version}",
        command=[*command.split(), f"{PREFIX}-headscale:8080"],
        networking_config={PREFIX: caddy},
    )
    wait(lambda: has_file(mesh.containers["caddy"], ROOT))


def enrol(mesh: Mesh, name: str, owner: tuple[str, ...], *options: str) -> str:
    """Let a real client join; returns its address (IPv4)."""
    key = mesh.headscale("preauthkeys", "create", *owner, "-e", "1h")["key"]
    container = mesh.run(
        name,
        CLIENT_IMAGE,
        command=["tailscaled", "--tun=userspace-networking", f"--state={STATE}"],
        environment={"SSL_CERT_FILE": "/root.crt"},
        hostname=name,
    )
    container.put_archive("/", archived("root.crt", read_file(mesh.containers["caddy"], ROOT)))
    server = f"--login-server={mesh.site.server_url}"
    mesh.execute(name, "tailscale", "up", server, f"--authkey={key}", "--timeout=40s", *options)
    return mesh.execute(name, "tailscale", "ip", "-4").decode().strip()


def take_snapshot(mesh: Mesh) -> Snapshot:
    """As the sidecar takes it: its program, its mounts."""
    output = mesh.docker.containers.run(
        ensure_image(SIDECAR_IMAGE),
        ["python3", "/backup/snapshot.py"],
        network=PREFIX,
        remove=True,
        name=f"{PREFIX}-sidecar",
        environment={
            "HEADSCALE_URL": f"http://{PREFIX}-headscale:8080",
            "MESHKEEPER_IMAGE": f"headscale/headscale:{mesh.site.stacks.headscale.version}",
        },
        volumes=binds(
            mesh.folder,
            ".:/backup",
            "config:/etc/headscale",
            "data:/var/lib/headscale",
            "backups:/backups",
        ),
    )
    archive = mesh.folder / "backups" / f"{output.decode().strip()}.tar"
    folder = mesh.folder / archive.stem
    folder.mkdir()
    return Snapshot(archive, folder, unpack(archive, folder))


def binds(folder: Path, *mounts: str) -> list[str]:
    return [f"{folder / mount.split(':')[0]}:{mount.split(':')[1]}" for mount in mounts]


def has_file(container: Container, path: str) -> bool:
    try:
        container.get_archive(path)
    except NotFound:
        return False
    return True


def read_file(container: Container, path: str) -> bytes:
    stream, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        found = archive.extractfile(Path(path).name)
        assert found is not None
        return found.read()


def archived(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def wait(is_so: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "the production did not come up"
        time.sleep(0.1)
