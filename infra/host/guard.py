"""Changes of SSH, keys and firewall: confirmed from a new connection, or reverted by the host."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

from infra.access.accepted_keys import refused_keys
from infra.access.login import Login
from infra.access.session import Session
from infra.access.ssh import connect
from infra.errors import CouldNotRun, LockOutPrevented, LoginRefused, StepFailed, Unreachable
from infra.host.provision import Target

#: After this the host takes an unconfirmed change back.
REVERT_SECONDS = 60
#: Seconds before each try: sshd closes its port for a moment when it reloads.
_PAUSES = (0.1, 0.5, 2.0, 5.0)
_PROGRAM = "/run/meshkeeper-guard.sh"


@contextmanager
def guarded(
    session: Session, target: Target, item: str, seconds: int = REVERT_SECONDS
) -> Iterator[None]:
    """Make the change in the body: committed only after the admin has logged in anew, and when
    each declared key would get in.

    Raises LockOutPrevented when one does not (the host reverts by itself), and what the body
    raises after an immediate revert.
    """
    admin = target.admin
    prove_way_in(admin, item)
    _guard(session, item, f"arm {int(seconds)} {admin.user}")
    try:
        yield
    except StepFailed:
        _guard(session, item, "revert")
        raise
    try:
        _confirm(admin, target.admin_keys, item)
    except (CouldNotRun, StepFailed) as error:
        raise LockOutPrevented(
            f"{admin.name}: {item}: after the change a new login as {admin.user} failed "
            f"({error.message}), so the host takes it back within {seconds} s.",
            "Check address, port, keys and firewall in the site file, then provision again.",
        ) from error


def _confirm(admin: Login, public_keys: tuple[str, ...], item: str) -> None:
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            with connect(admin) as fresh:
                _refuse_lost_keys(admin, public_keys)
                return _guard(fresh, item, "confirm")
        except Unreachable:
            if pause == _PAUSES[-1]:
                raise
    return None


def _refuse_lost_keys(admin: Login, public_keys: tuple[str, ...]) -> None:
    """Those whose private half is elsewhere count, too: one of them may be the last way back."""
    if lost := refused_keys(admin, public_keys):
        raise LoginRefused(f"{admin} would no longer accept: {', '.join(map(_short, lost))}.")


def _short(public_key: str) -> str:
    """A key's comment, or its beginning where it has none."""
    kind, encoded, *comment = public_key.split(maxsplit=2)
    return comment[0] if comment else f"{kind} {encoded[:24]}…"


def prove_way_in(admin: Login, item: str) -> None:
    """A new connection as the admin, with root's rights. Raises LockOutPrevented."""
    try:
        with connect(admin) as fresh:
            fresh.check("sudo", fresh.as_root("true"))
    except (CouldNotRun, StepFailed) as error:
        raise LockOutPrevented(
            f"{admin.name}: {item}: not begun, since {admin.user} can't log in and become root: "
            f"{error.message}",
            "Is the public half of your key in hosts.*.admin_keys?",
        ) from error


def _guard(session: Session, item: str, command: str) -> None:
    program = files("infra.host").joinpath("guard.sh").read_bytes()
    shell = f"cat >{_PROGRAM}; sh {_PROGRAM} {command}"
    session.check(
        f"{item}: revert guard: {command}",
        session.as_root(f"sh -c '{shell}'"),
        stdin=program,
        timeout=120,
    )
