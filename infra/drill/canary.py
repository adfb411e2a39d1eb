"""The canary: a real client with a copy of the state that the rollout enrolled in production."""

import time
from pathlib import Path

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from infra.drill import front
from infra.drill.containers import Recipe, create, execute, is_running, last_words, put
from infra.drill.world import World
from infra.errors import StepFailed
from infra.mesh.headscale import list_nodes

#: Seconds; measured: 1.5 s for a login. The first client shows how fast this machine is, and a
#: running one gets that many times as long (measured: 2 s after the server was replaced).
LOGIN_LIMIT, RUNNING_LIMIT, RUNNING_FACTOR = 60.0, 20.0, 10.0
_PAUSE = 0.1

_HOME = "/var/lib/tailscale"
_STATE = "tailscaled.state"
_SOCKET = "/run/tailscaled.sock"


class Node(BaseModel):
    """What tailscaled says of itself."""

    #: Null until it has logged in.
    addresses: tuple[str, ...] | None = Field(default=None, alias="TailscaleIPs")

    def has(self, address: str) -> bool:
        return address in (self.addresses or ())


class Status(BaseModel):
    """Of `tailscale status --json` what a drill needs."""

    state: str = Field(alias="BackendState")
    login_url: str = Field(default="", alias="AuthURL")
    node: Node | None = Field(default=None, alias="Self")

    def is_up(self, address: str) -> bool:
        """Logged in, and with the address that it has in production."""
        return self.state == "Running" and self.node is not None and self.node.has(address)


class Connection(BaseModel):
    """Of `headscale nodes list` what tells whether a node is connected now."""

    ip_addresses: tuple[str, ...] = ()
    online: bool = False


_CONNECTIONS = TypeAdapter(list[Connection])


def start(world: World, role: str, image: str, state: Path) -> None:
    """Start tailscaled, without a TUN device, on a copy of the file `state`."""
    recipe = Recipe(
        image=image,
        entrypoint=("tailscaled",),
        command=(
            "--tun=userspace-networking",
            "--no-logs-no-support",
            f"--socket={_SOCKET}",
            f"--statedir={_HOME}",
            f"--state={_HOME}/{_STATE}",
        ),
        environment={"SSL_CERT_FILE": front.ROOT},
        volumes={role: _HOME},
        read_volumes={front.ROLE: front.ROOT_FOLDER},
    )
    container = create(world, role, recipe)
    put(container, _HOME, {_STATE: state})
    container.start()


class Wanted(BaseModel):
    """Where a client shall be online, as whom, and within how many seconds."""

    server: str
    address: str
    limit: float


def wait_online(world: World, role: str, wanted: Wanted) -> str:
    """Wait until the client is online; why it is not, or an empty string.

    Both sides must say so: the client that it is logged in, and the server's container that it
    holds the client's connection (after its start a server takes all nodes for offline).
    """
    deadline = time.monotonic() + wanted.limit
    seen = "it never answered"
    while time.monotonic() < deadline:
        if not is_running(world, role):
            return f"tailscaled ended: {last_words(world, role)}"
        status = _status(world, role)
        if status and status.is_up(wanted.address) and _holds_connection(world, wanted):
            return ""
        if status and status.login_url:
            return "the server does not know it, and asks it to register anew"
        seen = _described(status) if status else seen
        time.sleep(_PAUSE)
    return f"after {wanted.limit:.0f} s {seen}"


def _holds_connection(world: World, wanted: Wanted) -> bool:
    try:
        listed = _CONNECTIONS.validate_json(execute(world, wanted.server, list_nodes()))
    except (StepFailed, ValidationError):
        return False
    return any(node.online for node in listed if wanted.address in node.ip_addresses)


def _status(world: World, role: str) -> Status | None:
    command = ("tailscale", f"--socket={_SOCKET}", "status", "--json", "--peers=false")
    try:
        return Status.model_validate_json(execute(world, role, command))
    except (StepFailed, ValidationError):
        return None


def _described(status: Status) -> str:
    if status.state != "Running":
        return f"it was still in the state {status.state[:40]!r}"
    addresses = (status.node and status.node.addresses) or ()
    return f"it was not connected to the server, with the addresses {', '.join(addresses)[:80]}"
