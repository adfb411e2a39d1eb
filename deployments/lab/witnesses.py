"""What people would notice meanwhile: requests from outside, and two devices in the mesh."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from deployments.lab.boot import Lab
from deployments.lab.join import mesh_address
from deployments.lab.machine import Machine
from infra.errors import CouldNotRun

#: Seconds after which a witness ends by itself, and which it has for its last look.
LONGEST, LAST_LOOK = 1800, 30
#: Seconds in which a client finds its server again: tailscaled waits for up to 45 between two tries.
RECONNECT = 120
#: The sign to stop; a witness takes it away when it has.
STOP = "/root/witness-stop"
SEEN = "/root/witness-seen"
#: Each line: status and seconds of one request; several a second.
REQUESTS = f"""rm -f {SEEN} {STOP}
while [ ! -e {STOP} ]; do
    curl -s -o /dev/null -m 20 -w '%{{http_code}} %{{time_total}}\\n' $1 >> {SEEN}
    sleep 0.05
done"""
#: Each line: whether a ping came back, the client's state, whether it counts itself logged in.
DEVICE = f"""rm -f {SEEN} {STOP}
while [ ! -e {STOP} ]; do
    ping -q -c 1 -W 2 $1 > /dev/null && pong=1 || pong=0
    echo "$pong $(tailscale status --json --peers=false | tr -d ' \\n')" >> {SEEN}
    sleep 0.2
done"""


@dataclass
class Requests:
    """Status and seconds of each request; all there when the watching is over."""

    answers: list[tuple[str, float]] = field(default_factory=list)

    @property
    def failed(self) -> Counter[str]:
        """Requests that were not answered 200, by status (000: no answer)."""
        return Counter(status for status, _ in self.answers if status != "200")

    @property
    def longest(self) -> float:
        """Seconds."""
        return max(seconds for _, seconds in self.answers)


@dataclass
class Device:
    """What a device saw: pings to the other one, and its own state each time."""

    pings: int = 0
    lost: int = 0
    states: Counter[str] = field(default_factory=Counter)
    streams_before: frozenset[str] = frozenset()
    streams_after: frozenset[str] = frozenset()

    @property
    def broken_streams(self) -> frozenset[str]:
        """Connections to the VPS (our end's address and port) that did not live through it."""
        return self.streams_before - self.streams_after


@contextmanager
def requests(lab: Lab, url: str) -> Iterator[Requests]:
    """Steady requests from the observer."""
    seen = Requests()
    with _witness(lab.observer, REQUESTS, url):
        yield seen
    for line in _lines(lab.observer):
        status, seconds = line.split()
        seen.answers.append((status, float(seconds)))


@contextmanager
def device(lab: Lab) -> Iterator[Device]:
    """Steady traffic between the clients over the mesh, as the first of them sees it.

    Its streams are those to the server and its relay, both of them through Caddy. Raises
    CouldNotRun when it has none.
    """
    client = lab.client_a
    seen = Device(streams_before=_first_streams(lab, client))
    with _witness(client, DEVICE, mesh_address(lab.client_b)):
        yield seen
    seen.streams_after = _streams(lab, client)
    for line in _lines(client):
        pong, status = line.split(maxsplit=1)
        seen.pings += 1
        seen.lost += pong == "0"
        seen.states[_state(status)] += 1


@contextmanager
def _witness(machine: Machine, script: str, argument: str) -> Iterator[None]:
    whole = f"{script}\nrm {STOP}"
    machine.container.exec_run(
        ["timeout", str(LONGEST), "sh", "-c", whole, "witness", argument], detach=True
    )
    try:
        yield
    finally:
        machine.check("sh", "-c", f"touch {STOP}; while [ -e {STOP} ]; do sleep 0.1; done",
                      timeout=LAST_LOOK)  # fmt: skip


def _lines(machine: Machine) -> list[str]:
    return machine.check("cat", SEEN).splitlines()


def _first_streams(lab: Lab, client: Machine) -> frozenset[str]:
    """Waits for them: a client whose server was replaced a moment ago may be between two tries."""
    deadline = time.monotonic() + RECONNECT
    while not (streams := _streams(lab, client)):
        if time.monotonic() > deadline:
            raise CouldNotRun(f"{client.name} has no connection to its server.", "Run `make lab`.")
        time.sleep(0.5)
    return streams


def _streams(lab: Lab, client: Machine) -> frozenset[str]:
    open_now = client.check("ss", "-Htn", "state", "established", "dst", lab.plan.place("vps"))
    return frozenset(line.split()[2] for line in open_now.splitlines())


def _state(status: str) -> str:
    """`Running` for a client that is logged in; what else it says, with a wish to log in again."""
    try:
        told = json.loads(status)
    except ValueError:
        return "no answer"
    return f"{told['BackendState']}{' (wants a login)' if told.get('AuthURL') else ''}"
