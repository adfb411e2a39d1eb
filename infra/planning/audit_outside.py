"""What answers on a host from outside, graded. TCP only: UDP tells nothing of a closed port. Pure."""

from collections.abc import Iterable, Set

from infra.errors import MeshkeeperError
from infra.model.audit import Finding
from infra.model.fields import PublishedPort
from infra.model.host import HostState
from infra.model.site import Host
from infra.planning.host_listeners import undeclared
from infra.planning.question import Question

#: What is opened by mistake most often. Not 25, which many providers of home lines answer or drop
#: themselves.
WELL_KNOWN = {
    21: "FTP",
    23: "telnet",
    111: "rpcbind",
    2019: "Caddy's admin API",
    2375: "Docker's API",
    2376: "Docker's API",
    3000: "Grafana",
    3001: "Uptime Kuma",
    3306: "MySQL",
    5000: "changedetection",
    5432: "PostgreSQL",
    5900: "VNC",
    6379: "Redis",
    8080: "Headscale without Caddy",
    9090: "Prometheus",
    9100: "node_exporter",
    11211: "memcached",
    27017: "MongoDB",
    50443: "Headscale's gRPC",
}
#: Ports that a host has us ask beside these: it is not trusted to keep it short.
MOST_OF_THE_HOST = 20

_DECLARED = Question("outside.declared", "a TCP connection to each port that a stack publishes")
_CLOSED = Question("outside.closed", "a TCP connection to ports that are often open by mistake")


def asked_ports(
    host: Host, ports: tuple[PublishedPort, ...], state: HostState | None
) -> tuple[int, ...]:
    """The declared ones, the well-known, and those on which something undeclared listens.

    Not sshd's, which penalises whoever only knocks: the site file's port of it, since a host could
    call any port sshd's.
    """
    declared = [port.port for port in ports if port.protocol == "tcp"]
    strays = undeclared(ports, state) if state else ()
    listening = [one.port for one in strays if one.protocol == "tcp"]
    found = dict.fromkeys((*declared, *WELL_KNOWN, *listening[:MOST_OF_THE_HOST]))
    return tuple(port for port in found if port != host.port)


def outside_findings(
    ports: tuple[PublishedPort, ...], answering: Set[int], *, reached: bool
) -> Iterable[Finding]:
    """`answering` of those asked; `reached`: the host is there, so that silence means something."""
    declared = {port.port for port in ports if port.protocol == "tcp"}
    if silent := declared - answering:
        yield _DECLARED.to_do(
            f"no answer on {_list(silent)}",
            "Was there a rollout, and does the provider's own firewall let it through?",
        )
    else:
        yield _DECLARED.in_order(f"each answers: {_list(declared) or 'none is declared'}")
    if open_ports := answering - declared:
        yield _CLOSED.to_do(
            f"open: {_list(open_ports)}", "Close it: nothing in the site file publishes it."
        )
    elif reached or answering:
        yield _CLOSED.in_order("none of them answers")
    else:
        yield _CLOSED.not_asked("nothing at all answers", "Is the host there?")


def outside_unknown(error: MeshkeeperError) -> Iterable[Finding]:
    return (question.not_asked(error.message, error.hint) for question in (_DECLARED, _CLOSED))


def _list(ports: Set[int]) -> str:
    known = {port: f" ({WELL_KNOWN[port]})" for port in ports if port in WELL_KNOWN}
    return ", ".join(f"{port}/tcp{known.get(port, '')}" for port in sorted(ports))
