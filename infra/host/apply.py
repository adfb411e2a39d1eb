"""Makes one change on a host."""

import re

from infra.access.login import Login
from infra.access.session import Session
from infra.errors import StepFailed
from infra.host.guard import REVERT_SECONDS, guarded
from infra.host.scripts import script_of
from infra.model.host_change import HardenSshd, HostChange, SetAdmin, SetBackupAccount, SetFirewall

#: Seconds: packages come from the network, and apt may wait for another's lock.
LONGEST = 900
GUARDED_LONGEST = REVERT_SECONDS - 15
_AGAIN = "Then provision again: it goes on where it ended."
#: By what apt and others say: what to do next.
_NEXT_STEPS = {
    "No space left on|enough free space|disk is full": "Its disk is full: `df -h` there shows where, "
    "and `du -xh / | sort -h` by what. Make room.",
    "Failed to fetch|Unable to locate package|Could not resolve": "Does it reach the internet, and do "
    "the mirrors in its /etc/apt answer? `sudo apt-get update` there tells.",
    "exit status 124": "It took too long: is its network slow, or a mirror in its /etc/apt dead?",
}


def apply_change(session: Session, change: HostChange, admin: Login) -> None:
    """Make `change`; what could lock us out only under the host's timed revert.

    Raises StepFailed with host, item, cause and next step, LockOutPrevented, Unreachable.
    """
    try:
        _apply(session, change, admin)
    except StepFailed as error:
        raise StepFailed(error.message, error.hint or next_step(error.message)) from error


def next_step(message: str) -> str:
    """What to do about a step that failed, by its last lines."""
    known = (step for said, step in _NEXT_STEPS.items() if re.search(said, message))
    return f"{next(known, 'Mend that on the host.')} {_AGAIN}"


def _apply(session: Session, change: HostChange, admin: Login) -> None:
    if _may_lock_out(change, session, admin):
        with guarded(session, admin, change.item):
            # Ended before the host takes it back, or it would go on changing afterwards.
            _run(session, change, GUARDED_LONGEST)
    else:
        _run(session, change, LONGEST)


def _may_lock_out(change: HostChange, session: Session, admin: Login) -> bool:
    """The admin's own keys can too, unless the first user is still there to mend them.

    So can the backup's account: a rule of sudo's comes with it, and the admin becomes root by sudo.
    """
    if isinstance(change, SetAdmin):
        return session.login.user == admin.user
    return isinstance(change, HardenSshd | SetFirewall | SetBackupAccount)


def _run(session: Session, change: HostChange, seconds: int) -> None:
    command = session.as_root(f"timeout {seconds} sh -s")
    script = script_of(change).encode()
    session.check(change.item, command, stdin=script, timeout=seconds + 10)
