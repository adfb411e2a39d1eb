"""Observes a host and its stacks in one round trip."""

import time

from pydantic import ValidationError

from infra.access import bundle
from infra.access.session import Session
from infra.errors import StepFailed
from infra.model.fields import BACKUP_USER
from infra.model.observation import Observation, ObserveRequest
from infra.planning.host import MANAGED_FILES, MODES, PACKAGES, SYSCTLS
from infra.planning.host_access import SSHD_ASKED, SSHD_DROP_IN
from infra.planning.host_kernel import SWAP_FILE

ANSWER_LIMIT = 2 * 1024 * 1024
#: Of infra.host.facts; each uses only those before it.
MODULES = (
    "base",
    "accounts",
    "machine",
    "system",
    "listeners",
    "firewall",
    "docker",
    "memory",
    "stacks",
    "health",
    "main",
)
STEP = "observing the host"


def observe(session: Session, request: ObserveRequest) -> Observation:
    """Host, stacks and images as they are now; changes nothing.

    Raises StepFailed when the host's answer is no answer, Unreachable.
    """
    program = facts_program(request)
    asked_at = time.time()
    answer = _answer(session, program)
    try:
        seen = Observation.model_validate_json(answer)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StepFailed(
            f"{session.login.name}: {STEP}: its answer makes no sense ({place}: {first['msg']}).",
            "Is it a Debian host, and nothing else that answers there?",
        ) from error
    if lacking := {stack.project for stack in request.stacks} - seen.stacks.keys():
        raise StepFailed(
            f"{session.login.name}: {STEP}: its answer leaves out {', '.join(sorted(lacking))}."
        )
    return _with_clock_offset(seen, asked_at, time.time())


def _answer(session: Session, program: bytes) -> bytes:
    command = session.as_root("python3 -IS -")
    try:
        return session.check(STEP, command, stdin=program, limit=ANSWER_LIMIT)
    except StepFailed as error:
        if "not found" in error.message:
            hint = (
                "A minimal image lacks it: apt-get install python3 sudo, in the provider's console."
            )
            raise StepFailed(error.message, hint) from error
        raise


def _with_clock_offset(seen: Observation, asked_at: float, answered_at: float) -> Observation:
    """Compared with both ends of the round trip: between them it is right."""
    machine = seen.host.machine
    offset = machine.clock - min(max(machine.clock, asked_at), answered_at)
    machine = machine.model_copy(update={"clock_offset": round(offset, 1)})
    return seen.model_copy(update={"host": seen.host.model_copy(update={"machine": machine})})


def facts_program(request: ObserveRequest) -> bytes:
    """The program for the host's Python: all of infra.host.facts, with its request at the end."""
    asked = {
        "packages": PACKAGES,
        "files": MANAGED_FILES,
        "backup": BACKUP_USER,
        "sshd": SSHD_ASKED,
        "sshd_drop_in": SSHD_DROP_IN,
        "sysctls": SYSCTLS,
        "swap_file": SWAP_FILE,
        "modes": tuple(MODES),
        **request.model_dump(mode="json"),
    }
    return bundle.program("infra.host.facts", MODULES, asked)
