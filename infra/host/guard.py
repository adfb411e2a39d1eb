"""Changes of SSH, keys and firewall: confirmed from a new connection, or reverted by the host.

Confirmed is more than that we get in: every declared key must, though we hold one of them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

from infra.access.accepted_keys import AskedKeys, called
from infra.access.login import Login
from infra.access.session import Session
from infra.access.ssh import connect
from infra.errors import CouldNotRun, LockOutPrevented, StepFailed, Unreachable

#: After this the host takes an unconfirmed change back.
REVERT_SECONDS = 60
#: Seconds before each try: sshd closes its port for a moment when it reloads.
_PAUSES = (0.1, 0.5, 2.0, 5.0)
_PROGRAM = "/run/meshkeeper-guard.sh"


@contextmanager
def guarded(
    session: Session, admin: Login, item: str, seconds: int = REVERT_SECONDS
) -> Iterator[None]:
    """Make the change in the body: committed only after the admin has logged in anew, and when
    each declared key would get in.

    Raises LockOutPrevented when that login fails (the host reverts by itself) or when it shows that
    a declared key would be refused, and what the body raises; both after an immediate revert.
    """
    # The admin's key may be changed just here: before that the one in use is what opens the host.
    prove_way_in(session.login if session.login.user == admin.user else admin, item)
    _guard(session, item, f"arm {int(seconds)} {admin.user}")
    try:
        yield
    except StepFailed:
        _guard(session, item, "revert")
        raise
    try:
        _confirm(admin, item)
    except (CouldNotRun, StepFailed) as error:
        raise LockOutPrevented(
            f"{admin.name}: {item}: after the change a new login as {admin.user} failed "
            f"({error.message}), so the host takes it back within {seconds} s.",
            "Check address, port, keys and firewall in the site file, then provision again.",
        ) from error


def _confirm(admin: Login, item: str) -> None:
    for pause in _PAUSES:
        time.sleep(pause)
        asked = AskedKeys(admin.declared_keys)
        try:
            with connect(admin, asked.transport) as fresh:
                return _confirm_or_revert(fresh, item, asked)
        except Unreachable:
            if pause == _PAUSES[-1]:
                raise
    return None


def _confirm_or_revert(fresh: Session, item: str, asked: AskedKeys) -> None:
    if asked.refused is None:
        return _guard(fresh, item, "confirm")
    _guard(fresh, item, "revert")
    raise LockOutPrevented(
        f"{fresh.login.name}: {item}: after the change sshd would refuse the declared key "
        f"{called(asked.refused)}, so it was taken back.",
        f"Is it a whole public key, of a type that the host's sshd takes? Mend it in "
        f"hosts.{fresh.login.name}.admin_keys, or take it out, then provision again.",
    )


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
