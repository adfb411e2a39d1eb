"""Observes a host and its stacks in one round trip."""

from importlib.resources import files

from pydantic import ValidationError

from infra.access.session import Session
from infra.errors import StepFailed
from infra.model.fields import BACKUP_USER
from infra.model.observation import Observation, ObserveRequest
from infra.planning.host import MANAGED_FILES, PACKAGES

ANSWER_LIMIT = 2 * 1024 * 1024
STEP = "observing the host"


def observe(session: Session, request: ObserveRequest) -> Observation:
    """Host, stacks and images as they are now; changes nothing.

    Raises StepFailed when the host's answer is no answer, Unreachable.
    """
    program = facts_program(request)
    answer = session.check(
        STEP, session.as_root("python3 -IS -"), stdin=program, limit=ANSWER_LIMIT
    )
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
    return seen


def facts_program(request: ObserveRequest) -> bytes:
    """The program for the host's Python, with its request at the end."""
    asked = {"packages": PACKAGES, "files": MANAGED_FILES, "backup": BACKUP_USER}
    asked |= request.model_dump(mode="json")
    source = files("infra.host").joinpath("facts.py").read_text()
    return f"{source}\nmain({asked!r})\n".encode()
