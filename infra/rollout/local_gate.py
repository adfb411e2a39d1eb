"""What a stack itself answers on its host. All of it is bounded: the host is a suspect."""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from infra.access.session import Session
from infra.errors import StepFailed
from infra.model.declaration import InsideCheck, InsideQuestion
from infra.model.stack import Check, RenderedStack
from infra.rollout.answers import json_object, public_key, right_answer
from infra.rollout.waiting import Hopeless, NotYet, wait_until

#: Seconds for a start.
PATIENCE = 45
MOST_RESTARTS = 3
KEY_PATH = "/key?v=113"
SERVER_KEY = f"http://127.0.0.1:8080{KEY_PATH}"
FACTS = (
    "{{.Name}} {{.State.Pid}} {{.RestartCount}} "
    "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
)
#: Run in the network of a container, whatever its image holds: the status, then the body.
FETCH = """\
import sys, urllib.error, urllib.request as web
class Stay(web.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
try:
    answer = web.build_opener(web.ProxyHandler({}), Stay).open(sys.argv[1], timeout=5)
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.buffer.write(b"%d\\n" % answer.status + answer.read(1 << 19))
"""
CADDY_CONFIG = "http://localhost:2019/config/"
ADAPT = "docker exec caddy caddy adapt --config /etc/caddy/Caddyfile --adapter caddyfile"


class _Facts(NamedTuple):
    pid: int
    restarts: int
    health: str


Facts = Mapping[str, _Facts]
Ask = Callable[[Session, Facts], str]


def gate_locally(session: Session, stack: RenderedStack) -> tuple[Check, ...]:
    """Ask the stack on its host. Raises GateFailed with what was found."""
    # The engine counts since the container was made: what it went through long ago says nothing.
    before = {name: facts.restarts for name, facts in _facts(session, stack.containers).items()}

    def asked(ask: Ask) -> str:
        now = _facts(session, before)
        _refuse_if_hopeless(now, before)
        return ask(session, now)

    return tuple(wait_until(name, partial(asked, ask), PATIENCE) for name, ask in _questions(stack))


def _questions(stack: RenderedStack) -> list[tuple[str, Ask]]:
    return [
        (f"{stack.name} runs", _all_run),
        *(
            (f"{question.container} answers on its host", partial(_answers, question))
            for question in stack.gate.inside
        ),
        *(_CHECKS[check] for check in stack.gate.inside_checks),
    ]


def server_key(session: Session) -> str:
    """`mkey:…` as headscale itself shows it on the host. Raises NotYet, StepFailed."""
    pid = _facts(session, ["headscale"])["headscale"].pid
    return public_key(_inside(session, "headscale", pid, SERVER_KEY)[1])


def _all_run(_session: Session, now: Facts) -> str:
    """Healthy, for a container that has a health check."""
    for name, facts in now.items():
        if facts.health not in {"healthy", "running"}:
            raise NotYet(f"The container {name} is {facts.health}.")
    return ", ".join(dict.fromkeys(facts.health for facts in now.values()))


def _refuse_if_hopeless(facts: Facts, before: Mapping[str, int]) -> None:
    for name, now in facts.items():
        if now.restarts >= before[name] + MOST_RESTARTS:
            raise Hopeless(f"The container {name} ends again and again.")


def _answers(question: InsideQuestion, session: Session, now: Facts) -> str:
    pid = now[question.container].pid
    return right_answer(question, *_inside(session, question.container, pid, question.url))


def _runs_its_caddyfile(session: Session, now: Facts) -> str:
    """The running configuration equals the one that the file on the host adapts to."""
    wanted = json_object(session.check("read the Caddyfile", session.as_root(ADAPT)))
    running = json_object(_inside(session, "caddy", now["caddy"].pid, CADDY_CONFIG)[1])
    if not wanted or running != wanted:
        raise NotYet("Caddy runs another configuration than its Caddyfile's.")
    return "running and intended configuration are equal"


def _inside(session: Session, container: str, pid: int, url: str) -> tuple[int, bytes]:
    """GET `url` in the container's own network: status and body. Raises StepFailed."""
    enter = ("nsenter", "--net", "--target", str(pid), "python3", "-I", "-c", FETCH, url)
    answer = session.check(f"ask {container} itself", session.as_root(shlex.join(enter)))
    status, _, body = answer.partition(b"\n")
    if not re.fullmatch(rb"[1-5][0-9]{2}", status):
        raise StepFailed(f"{session.login.name}: {container} was asked, with no readable answer.")
    return int(status), body


def _facts(session: Session, containers: Iterable[str]) -> dict[str, _Facts]:
    """Of each of them, in one look."""
    names = tuple(containers)
    command = shlex.join(("docker", "inspect", "--type", "container", "--format", FACTS, *names))
    step = f"look at {', '.join(names)}"
    shown = session.check(step, session.as_root(command)).decode(errors="replace")
    found = re.findall(r"^/(\S{1,64}) (\d{1,10}) (\d{1,10}) ([a-z]{1,20})$", shown, re.MULTILINE)
    facts = {name: _Facts(int(pid), int(restarts), health) for name, pid, restarts, health in found}
    if facts.keys() != set(names):
        raise StepFailed(f"{session.login.name}: docker tells nothing readable of {step[8:]}.")
    return facts


_CHECKS: dict[InsideCheck, tuple[str, Ask]] = {
    "caddy_configuration": ("caddy runs its Caddyfile", _runs_its_caddyfile),
}
