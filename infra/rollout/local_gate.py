"""What a stack itself answers on its host. All of it is bounded: the host is a suspect."""

import json
import re
import shlex
from typing import Any, NamedTuple

from infra.access.session import Session
from infra.errors import StepFailed
from infra.model.request import StackName
from infra.model.stack import Check
from infra.rollout.waiting import Hopeless, NotYet, wait_until

#: Seconds for a start.
PATIENCE = 45
MOST_RESTARTS = 3
SERVER = "http://127.0.0.1:8080"
KEY_PATH = "/key?v=113"
FACTS = (
    "{{.State.Pid}} {{.RestartCount}} "
    "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
)
#: Run in the network of a container, whatever its image holds.
FETCH = (
    "import sys, urllib.request as web; "
    "answer = web.build_opener(web.ProxyHandler({})).open(sys.argv[1], timeout=5); "
    "sys.stdout.buffer.write(answer.read(1 << 20))"
)
ADAPT = "docker exec caddy caddy adapt --config /etc/caddy/Caddyfile --adapter caddyfile"


class _Facts(NamedTuple):
    pid: int
    restarts: int
    health: str


def gate_locally(session: Session, stack: StackName) -> tuple[Check, ...]:
    """Ask the stack on its host. Raises GateFailed with what was found."""
    # The engine counts since the container was made: what it went through long ago says nothing.
    before = _facts(session, stack).restarts
    if stack == "headscale":
        return (
            wait_until("headscale is healthy", lambda: _healthy(session, before), PATIENCE),
            wait_until("headscale answers on its host", lambda: _health(session), PATIENCE),
        )
    return (
        wait_until("caddy runs its Caddyfile", lambda: _runs_its_file(session, before), PATIENCE),
    )


def server_key(session: Session) -> str:
    """`mkey:…` as headscale itself shows it on the host. Raises NotYet, StepFailed."""
    return public_key(_inside(session, "headscale", SERVER + KEY_PATH))


def public_key(body: bytes) -> str:
    """The server's key out of the answer of /key. Raises NotYet."""
    key = _object(body).get("publicKey")
    if not isinstance(key, str) or not re.fullmatch("mkey:[0-9a-f]{64}", key):
        raise NotYet("It shows no server key.")
    return key


def passes(body: bytes) -> str:
    """`pass` out of the answer of /health. Raises NotYet."""
    if _object(body).get("status") != "pass":
        raise NotYet("Its health is not 'pass'.")
    return "pass"


def _healthy(session: Session, restarts: int) -> str:
    facts = _facts(session, "headscale")
    _refuse_if_hopeless("headscale", facts, restarts)
    if facts.health != "healthy":
        raise NotYet(f"The container headscale is {facts.health}.")
    return facts.health


def _health(session: Session) -> str:
    return passes(_inside(session, "headscale", f"{SERVER}/health"))


def _refuse_if_hopeless(container: str, facts: _Facts, restarts: int) -> None:
    if facts.restarts >= restarts + MOST_RESTARTS:
        raise Hopeless(f"The container {container} ends again and again.")


def _runs_its_file(session: Session, restarts: int) -> str:
    """The running configuration equals the one that the file on the host adapts to."""
    _refuse_if_hopeless("caddy", _facts(session, "caddy"), restarts)
    wanted = _object(session.check("read the Caddyfile", session.as_root(ADAPT)))
    if not wanted or _object(_inside(session, "caddy", "http://localhost:2019/config/")) != wanted:
        raise NotYet("Caddy runs another configuration than its Caddyfile's.")
    return "running and intended configuration are equal"


def _inside(session: Session, container: str, url: str) -> bytes:
    """GET `url` in the container's own network. Raises StepFailed."""
    pid = str(_facts(session, container).pid)
    enter = ("nsenter", "--net", "--target", pid, "python3", "-I", "-c", FETCH, url)
    return session.check(f"ask {container} itself", session.as_root(shlex.join(enter)))


def _facts(session: Session, container: str) -> _Facts:
    command = shlex.join(("docker", "inspect", "--type", "container", "--format", FACTS, container))
    shown = session.check(f"look at {container}", session.as_root(command)).decode(errors="replace")
    match = re.fullmatch(r"(\d{1,10}) (\d{1,10}) ([a-z]{1,20})\n?", shown)
    if match is None:
        raise StepFailed(f"{session.login.name}: docker tells nothing readable of {container}.")
    return _Facts(int(match[1]), int(match[2]), match[3])


def _object(body: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotYet("It answers something that is no JSON.") from error
    return loaded if isinstance(loaded, dict) else {}
