"""Makes one change on a host."""

from infra.access.login import Login
from infra.access.session import Session
from infra.host.guard import REVERT_SECONDS, guarded
from infra.host.scripts import script_of
from infra.model.host import HardenSshd, HostChange, SetAdmin, SetBackupAccount, SetFirewall

#: Seconds: packages come from the network, and apt may wait for another's lock.
LONGEST = 900
GUARDED_LONGEST = REVERT_SECONDS - 15


def apply_change(session: Session, change: HostChange, admin: Login) -> None:
    """Make `change`; what could lock us out only under the host's timed revert.

    Raises StepFailed with host and item, LockOutPrevented, Unreachable.
    """
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
