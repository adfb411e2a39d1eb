"""A host's lock: the one authority over changing it. Taken, renewed, shown and released."""

import getpass
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from infra.access.session import Session
from infra.errors import HostLocked, StepFailed
from infra.model.lock import LOCK_FOLDER, Claim, Holder, LockState

_PROGRAM = Path(__file__).with_name("lock_program.py")
_ANSWER_LIMIT = 16 * 1024
#: For one question; well below a lease.
_SECONDS = 15


def new_claim(doing: str, run: str, lease: int) -> Claim:
    """A claim of this user on this machine; `run` is the flow run's name, if there is one."""
    holder = Holder(
        owner=f"{getpass.getuser()}@{socket.gethostname()}"[:200],
        doing=doing[:200],
        run=run[:200],
        since=datetime.now(UTC),
    )
    return Claim(token=secrets.token_hex(16), holder=holder, lease=lease)


def take(session: Session, claim: Claim) -> None:
    """Take the lock, at once or not at all. Raises HostLocked, which tells who holds it."""
    state = _ask(session, "take", claim.model_dump(mode="json"))
    if not state.done:
        raise locked(session.login.name, state)


def renew(session: Session, claim: Claim) -> bool:
    """Whether the lock is still ours; then for another lease."""
    return _ask(session, "renew", claim.model_dump(mode="json")).done


def release(session: Session, token: str) -> bool:
    """Whether the lock was this token's; then it is free."""
    return _ask(session, "release", {"token": token}).done


def shown(session: Session) -> LockState:
    return _ask(session, "show", {})


def refuse_if_locked(session: Session) -> None:
    """Raises HostLocked where another run than this session's holds the lock."""
    state = shown(session)
    if state.holder and state.token != session.login.lock_token:
        raise locked(session.login.name, state)


def locked(host: str, state: LockState) -> HostLocked:
    """Who is in the way, and for how long at most."""
    if state.holder is None:
        at_work = ", ".join(state.at_work) or "a program"
        return HostLocked(
            f"{host} is locked: what an earlier run began is still at work there: {at_work}.",
            "Wait for its end, and start again.",
        )
    return HostLocked(
        f"{host} is locked by {state.holder}.",
        f"Wait for its end. If that run is dead, its lock goes by itself within {state.left} s; "
        "`meshkeeper unlock` takes it away from a living one.",
    )


def _ask(session: Session, step: str, request: dict[str, object]) -> LockState:
    asked = {"step": step, "folder": LOCK_FOLDER, **request}
    program = f"{_PROGRAM.read_text()}\n\nmain({asked!r})\n"
    answer = session.check(
        f"{step} the lock",
        session.as_root_unchecked("python3 -IS -"),
        stdin=program.encode(),
        timeout=_SECONDS,
        limit=_ANSWER_LIMIT,
    )
    try:
        return LockState.model_validate_json(answer)
    except ValidationError as error:
        raise StepFailed(
            f"{session.login.name}: {step} the lock: its answer makes no sense.",
            f"Look at {LOCK_FOLDER}/lock on the host.",
        ) from error
