"""Makes one change on a host."""

from infra.access.ssh import Login, Session
from infra.host.guard import guarded
from infra.host.scripts import script_of
from infra.model.host import HardenSshd, HostChange, SetAdmin, SetFirewall

#: Seconds: packages come from the network, and apt may wait for another's lock.
LONGEST = 900


def apply_change(session: Session, change: HostChange, admin: Login) -> None:
    """Make `change`; what could lock us out only under the host's timed revert.

    Raises StepFailed with host and item, LockOutPrevented, Unreachable.
    """
    if _may_lock_out(change, session, admin):
        with guarded(session, admin, change.item):
            _run(session, change)
    else:
        _run(session, change)


def _may_lock_out(change: HostChange, session: Session, admin: Login) -> bool:
    """The admin's own keys can too, unless the first user is still there to mend them."""
    if isinstance(change, SetAdmin):
        return session.login.user == admin.user
    return isinstance(change, HardenSshd | SetFirewall)


def _run(session: Session, change: HostChange) -> None:
    script = script_of(change).encode()
    session.check(change.item, session.as_root("sh -s"), stdin=script, timeout=LONGEST)
