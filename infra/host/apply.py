"""Makes one change on a host."""

from infra.access.ssh import Login, Session
from infra.host.guard import guarded
from infra.host.scripts import script_of
from infra.model.host import HardenSshd, HostChange, SetFirewall

#: Seconds: packages come from the network, and apt may wait for another's lock.
LONGEST = 900
GUARDED = (HardenSshd, SetFirewall)


def apply_change(session: Session, change: HostChange, admin: Login) -> None:
    """Make `change`; what could lock us out only under the host's timed revert.

    Raises StepFailed with host and item, LockOutPrevented, Unreachable.
    """
    if isinstance(change, GUARDED):
        with guarded(session, admin, change.item):
            _run(session, change)
    else:
        _run(session, change)


def _run(session: Session, change: HostChange) -> None:
    script = script_of(change).encode()
    session.check(change.item, session.as_root("sh -s"), stdin=script, timeout=LONGEST)
