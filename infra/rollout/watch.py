"""The last part of a gate: what was started is watched for some seconds, in one round trip."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from infra.access.session import Session
from infra.errors import GateFailed, StepFailed
from infra.model.base import Model
from infra.model.host import Text
from infra.model.stack import Check, RenderedSecret, RenderedStack, StackPlan, StartStack
from infra.rollout.apply import why
from infra.text import printable

PROGRAM = Path(__file__).with_name("watch_program.py")
#: Of its limit; above it, the next request may be what a container is killed for.
MOST_MEMORY = 0.95
#: Seconds, for containers that were not made anew.
BRIEFLY = 1.0
ANSWER_LIMIT = 16 * 1024


class Watch(NamedTuple):
    """Containers of a host that are watched at once."""

    host: str
    containers: tuple[str, ...]
    seconds: float
    secrets: tuple[RenderedSecret, ...] = ()


class Watched(Model):
    """The host's answer; `problems` as sentences and `memory` in bytes, by container."""

    seconds: float
    problems: dict[Text, Text] = Field(max_length=100)
    memory: dict[Text, Annotated[int, Field(ge=0)]] = Field(max_length=100)


def watches(stacks: Mapping[str, RenderedStack], plans: Mapping[str, StackPlan]) -> list[Watch]:
    """What is to be watched once these plans are carried out, a host each. Pure."""
    touched = [stacks[name] for name, plan in plans.items() if not plan.empty]
    return [
        Watch(
            host,
            tuple(name for stack in touched if stack.host == host for name in stack.containers),
            max(_seconds(stack, plans[stack.name]) for stack in touched if stack.host == host),
            tuple(s for stack in touched if stack.host == host for s in stack.secrets.values()),
        )
        for host in dict.fromkeys(stack.host for stack in touched)
    ]


def watch_of(stack: RenderedStack) -> Watch:
    """All of one stack, as after a start."""
    hidden = tuple(stack.secrets.values())
    return Watch(stack.host, tuple(stack.containers), stack.gate.watch_seconds, hidden)


def _seconds(stack: RenderedStack, plan: StackPlan) -> float:
    anew = any(isinstance(change, StartStack) for change in plan.changes)
    return stack.gate.watch_seconds if anew else BRIEFLY


def watch(session: Session, wanted: Watch) -> Check:
    """They keep running and healthy, none restarts, and none needs most of its memory at the end.

    Raises GateFailed with the numbers and the last log lines.
    """
    began = time.monotonic()
    seen = _watched(session, wanted)
    for container, problem in seen.problems.items():
        if container in wanted.containers:
            sentence = (
                f"{container} {printable(problem)}, {seen.seconds:.1f} s after the gate had passed."
            )
            raise GateFailed(why(session, container, GateFailed(sentence), wanted.secrets))
    used = ", ".join(
        f"{name} {seen.memory.get(name, 0) / 1024**2:.0f} MiB" for name in wanted.containers
    )
    return Check(
        name=f"no restart of {', '.join(wanted.containers)}, and room in their memory",
        found=f"watched for {seen.seconds:.0f} s; {used}",
        seconds=round(time.monotonic() - began, 2),
    )


def _watched(session: Session, wanted: Watch) -> Watched:
    asked = {
        "containers": wanted.containers,
        "seconds": wanted.seconds,
        "share": MOST_MEMORY,
    }
    program = f"{PROGRAM.read_text()}\n\nmain({asked!r})\n"
    answer = session.check(
        "watch the containers",
        session.as_root("python3 -I -"),
        stdin=program.encode(),
        timeout=wanted.seconds + 60,
        limit=ANSWER_LIMIT,
    )
    try:
        return Watched.model_validate_json(answer)
    except ValidationError as error:
        raise StepFailed(
            f"{session.login.name}: watching the containers: an unreadable answer."
        ) from error
