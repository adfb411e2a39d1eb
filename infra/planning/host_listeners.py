"""Who listens on a host where others could reach it, and of whom the site says nothing. Pure."""

from collections.abc import Iterable
from ipaddress import ip_network

from infra.model.fields import PublishedPort
from infra.model.host import HostState, Listener

#: Names as the kernel shortens them, to 15 characters.
_SSHD = ("sshd", "systemd")
_DOCKER = ("docker-proxy", "dockerd")
#: They ask for an address, and the answer comes to these ports (RFC 2131, RFC 8415).
_DHCP = ("dhclient", "dhcpcd", "systemd-network", "NetworkManager")
_DHCP_PORTS = (PublishedPort(port=68, protocol="udp"), PublishedPort(port=546, protocol="udp"))
#: They ask others over UDP, from a port of any number above the privileged ones.
_ASKING = ("chronyd", "systemd-timesyn", "tailscaled")
_PRIVILEGED = 1024
#: Only nodes of the mesh reach them (Tailscale's ranges, which Headscale takes over).
_TAILNET = (ip_network("100.64.0.0/10"), ip_network("fd7a:115c:a1e0::/48"))


def undeclared(ports: tuple[PublishedPort, ...], state: HostState) -> tuple[Listener, ...]:
    """Those that neither the site nor the host's own work explains; `ports` are its stacks'."""
    return tuple(one for one in state.listeners if not _explained(one, ports, state))


def listener_notes(ports: tuple[PublishedPort, ...], state: HostState) -> Iterable[str]:
    """One for each port and program: stopping it is its owner's decision."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in undeclared(ports, state):
        place = (f"{one.port}/{one.protocol}", one.process or "an unknown program")
        found.setdefault(place, []).append(str(one.address))
    for (port, process), addresses in found.items():
        yield f"{process} listens on {port} ({', '.join(addresses)}), which the site doesn't declare"
    if state.more_listeners:
        yield "more programs listen than are told here: `ss -lntup` there shows all"


def _explained(one: Listener, ports: tuple[PublishedPort, ...], state: HostState) -> bool:
    port = PublishedPort(port=one.port, protocol=one.protocol)
    if port.protocol == "tcp" and str(port.port) in state.sshd.get("port", ("22",)):
        return one.process in _SSHD
    if port in ports:
        return one.process in _DOCKER
    if port in _DHCP_PORTS:
        return one.process in _DHCP
    if one.process == "tailscaled" and any(one.address in network for network in _TAILNET):
        return True
    return port.protocol == "udp" and port.port >= _PRIVILEGED and one.process in _ASKING
