"""The two clients join the mesh with a key for a new device, and reach each other through it."""

import json

from deployments.lab.boot import Lab
from deployments.lab.command import meshkeeper
from deployments.lab.machine import Machine

#: Not on a tmpfs: what the engine writes into a container would lie beneath it.
KEY_FILE = "/root/authkey"


def join_clients(lab: Lab) -> str:
    """Let each client in that is not yet; which addresses they have."""
    joined = [_join(lab, client) for client in (lab.client_a, lab.client_b)]
    return ", ".join(joined)


def ping_over_mesh(lab: Lab) -> str:
    """Ping from each client to the other's mesh address; which way it went."""
    ways = []
    for client, other in ((lab.client_a, lab.client_b), (lab.client_b, lab.client_a)):
        address = mesh_address(other)
        client.check("ping", "-c", "2", "-W", "5", address)
        pong = client.check("tailscale", "ping", "--c", "1", "--until-direct=false", address)
        ways.append(pong.strip().splitlines()[-1])
    return "; ".join(ways)


def mesh_address(client: Machine) -> str:
    """Its IPv4 address in the mesh."""
    return client.check("tailscale", "ip", "-4").strip()


def is_joined(client: Machine) -> bool:
    answer = client.run("tailscale", "status", "--json")
    return answer.status == 0 and json.loads(answer.stdout)["BackendState"] == "Running"


def _join(lab: Lab, client: Machine) -> str:
    if not is_joined(client):
        _log_in(lab, client)
    return f"{client.name} is {mesh_address(client)}"


def _log_in(lab: Lab, client: Machine) -> None:
    """The key goes in by a file that is removed at once: an argument is visible to all."""
    user = lab.site.stacks.headscale.users[0]
    key = meshkeeper(lab.plan, "device-key", user)["key"]
    client.write(KEY_FILE, key.encode())
    try:
        client.check(
            "tailscale", "up", "--reset", f"--login-server={lab.site.server_url}",
            f"--auth-key=file:{KEY_FILE}", f"--hostname={client.name.removeprefix(lab.plan.prefix + '-')}",
        )  # fmt: skip
    finally:
        client.run("rm", "-f", KEY_FILE)
