"""Enrols the canary: a node without rights, whose state lets a drill prove a real login.

It runs once, on the control machine, until it is online; then its state is a file of ours.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from docker.models.containers import Container
from docker.types import LogConfig
from pydantic import SecretStr

from infra.access.anchor import canary_state_path, update_anchor, write_private
from infra.access.docker import engine
from infra.access.session import Session
from infra.access.watchdog import removed_when_we_end
from infra.errors import CouldNotRun, DockerUnavailable
from infra.images.ensure import ensure_image
from infra.mesh.users import new_tag_key, remove_tagged_nodes
from infra.model.anchor import Canary
from infra.model.site import Network, Site
from infra.model.stack import CANARY_TAG
from infra.settings import Settings

IMAGE = "tailscale/tailscale:v1.102.3"
NODE_NAME = "meshkeeper-canary"
PREFIX = "mk-canary-"
#: Seconds.
ONLINE_WITHIN = 40
STATE, KEY, ROOTS, RESOLVER = "tailscaled.state", "authkey", "roots.pem", "resolv.conf"
INSIDE = Path("/canary")
SOCKET = f"--socket={INSIDE}/tailscaled.sock"


def enrol_canary(site: Site, settings: Settings, session: Session) -> Canary:
    """Enrol a canary in the place of any that the server has; anchor and state are then of it.

    Raises CouldNotRun when it does not come online, DockerUnavailable.
    """
    ensure_image(IMAGE)
    remove_tagged_nodes(session, CANARY_TAG)
    with _workplace(settings, site) as workplace:
        _prepare(workplace, site.network, new_tag_key(session, CANARY_TAG))
        key, address = _joined(workplace, site)
        write_private(canary_state_path(settings, site.name), (workplace / STATE).read_bytes())
    canary = Canary(
        node_name=NODE_NAME, node_key=key, address=address, enrolled_at=datetime.now(UTC)
    )
    update_anchor(settings, site.name, lambda known: known.model_copy(update={"canary": canary}))
    return canary


@contextmanager
def _workplace(settings: Settings, site: Site) -> Iterator[Path]:
    """A private folder; those of enrolments that were killed go."""
    home = settings.site_dir(site.name)
    for left in home.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    workplace = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
    try:
        yield workplace
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _prepare(workplace: Path, network: Network, key: SecretStr) -> None:
    """The key as a file: an argument could be read by everybody on the machine."""
    write_private(workplace / KEY, key.get_secret_value().encode())
    if network.extra_root is not None:
        (workplace / ROOTS).write_bytes(Path(network.extra_root).read_bytes())
    if network.resolver is not None:
        (workplace / RESOLVER).write_text(f"nameserver {network.resolver}\n")


def _joined(workplace: Path, site: Site) -> tuple[str, str]:
    """Run tailscaled until the node is online, and stop it; its node key and address (IPv4)."""
    name = f"{PREFIX}{os.getpid()}"
    with removed_when_we_end(name):
        container = _started(name, workplace, site.network)
        _run(
            container,
            "up",
            f"--login-server={site.server_url}",
            f"--authkey=file:{INSIDE}/{KEY}",
            f"--hostname={NODE_NAME}",
            "--accept-dns=false",
            # The server may be an attacker's by now, and hands out the packet filter: nothing
            # from the mesh may reach what listens on this machine.
            "--shields-up",
            f"--timeout={ONLINE_WITHIN}s",
        )
        status = _status_once_online(container)
        # tailscaled writes its state when it ends.
        container.stop(timeout=5)
    return str(status["Self"]["PublicKey"]), _mesh_address(status)


def _started(name: str, workplace: Path, network: Network) -> Container:
    volumes = {str(workplace): {"bind": str(INSIDE), "mode": "rw"}}
    if network.resolver is not None:
        volumes[str(workplace / RESOLVER)] = {"bind": "/etc/resolv.conf", "mode": "ro"}
    try:
        return engine().containers.run(
            IMAGE,
            list(_tailscaled()),
            name=name,
            detach=True,
            network_mode="host",
            volumes=volumes,
            environment={"SSL_CERT_FILE": f"{INSIDE}/{ROOTS}"} if network.extra_root else {},
            **_confined(),
        )
    except DockerException as error:
        raise DockerUnavailable(
            f"The canary can't be started on this machine: {error}.",
            "Does `docker run` work for this user? `meshkeeper doctor` looks further.",
        ) from error


def _confined() -> dict[str, Any]:
    """No rights beyond those of the folder's owner, and no more of the machine than it needs."""
    return {
        "user": f"{os.getuid()}:{os.getgid()}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": {"/tmp": "size=16m,mode=1777"},  # noqa: S108 (a mount point)
        "mem_limit": "256m",
        "pids_limit": 128,
        "log_config": LogConfig(type="json-file", config={"max-size": "2m", "max-file": "1"}),
    }


def _tailscaled() -> tuple[str, ...]:
    return (
        "tailscaled",
        "--tun=userspace-networking",
        f"--statedir={INSIDE}",
        f"--state={INSIDE}/{STATE}",
        SOCKET,
        "--port=0",
        "--no-logs-no-support",
    )


def _status_once_online(container: Container) -> dict[str, Any]:
    deadline = time.monotonic() + ONLINE_WITHIN
    while time.monotonic() < deadline:
        status: dict[str, Any] = json.loads(_run(container, "status", "--json"))
        if status.get("BackendState") == "Running" and status["Self"].get("Online"):
            return status
        time.sleep(0.2)
    raise CouldNotRun(
        f"The canary did not come online within {ONLINE_WITHIN} s.",
        "Is the server reachable from this machine, and UTC right on both?",
    )


def _mesh_address(status: dict[str, Any]) -> str:
    return str(next(IPv4Address(a) for a in status["Self"]["TailscaleIPs"] if ":" not in a))


def _run(container: Container, *arguments: str) -> bytes:
    """Run `tailscale` beside tailscaled. Raises CouldNotRun with its last words."""
    try:
        status, output = container.exec_run(["tailscale", SOCKET, *arguments])
    except DockerException as error:
        raise CouldNotRun(
            f"The canary ended before it was online: {error}.", "Try the rollout again."
        ) from error
    answer = bytes(output)  # type: ignore[arg-type]  # without stream=True it is bytes
    if status != 0:
        last = answer.decode(errors="replace").strip()[-500:]
        raise CouldNotRun(
            f"The canary can't join the mesh: {last or 'it said nothing'}.",
            "Is the server reachable from this machine at its https:// name?",
        )
    return answer
