"""A host on its way to the wanted state: the way in, and what is left to do."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

from infra.access.host_keys import pin_host_key
from infra.access.login import Login, admin_login, first_login, rotating_login
from infra.access.private_key import public_half
from infra.access.session import Session
from infra.access.ssh import connect
from infra.errors import BadInput, CouldNotRun, LoginRefused, StepFailed
from infra.host.lock import refuse_if_locked
from infra.host.observe import observe
from infra.model.host import HostState, Machine
from infra.model.host_change import HostChange, SetAdmin
from infra.model.observation import ObserveRequest
from infra.model.plan import Plan
from infra.model.site import Host, Site
from infra.model.site_rules import published_ports
from infra.planning.host import plan_host
from infra.settings import Settings

#: Seconds: longer than the host waits for a confirmation, and its revert.
LONGEST_UNCONFIRMED = 90
UNCONFIRMED_PAUSE = 2
#: cloud-init upgrades packages on some images.
SETTLING_SECONDS, LOOK_AGAIN_SECONDS = 900, 5


class Target(NamedTuple):
    """A host of a site, and how this machine reaches it.

    `user`: who is known to get in. Asking again with a name that sshd refuses gets us penalised.
    `lock_token`: of the run that holds the host's lock, which each of its changes checks.
    """

    settings: Settings
    site: Site
    host: str
    user: str | None = None
    lock_token: str = ""

    @property
    def admin(self) -> Login:
        return admin_login(self.settings, self.site, self.host)


class Outlook(NamedTuple):
    """What one look at the host found; `peer` is the address from which it saw us come.

    `settled`: cloud-init has ended, and changes nothing any more.
    """

    plan: Plan[HostChange]
    machine: Machine
    peer: IPv4Address | IPv6Address | None
    round_trips: int
    user: str
    settled: bool


def pin_host_keys(target: Target) -> bool:
    """Pin the host's key, and first that of the jump host before it; True if one was news.

    Raises like `pin_host_key`.
    """
    host, login, news = target.site.hosts[target.host], target.admin, False
    if host.jump and login.jump:
        news = pin_host_key(login.jump, host.jump.host_key)
    return pin_host_key(login, host.host_key) or news


@contextmanager
def way_in(target: Target) -> Iterator[Session]:
    """A session as the admin, or on a new machine as the user it came with.

    Where the admin's key is rotated, by the previous one as long as the new one is refused.
    """
    with ExitStack() as stack:
        yield _entered(target, stack)


def _entered(target: Target, stack: ExitStack) -> Session:
    holding = {"lock_token": target.lock_token}
    first = first_login(*target[:3]).model_copy(update=holding)
    if target.user == first.user:
        return stack.enter_context(connect(first))
    try:
        return stack.enter_context(connect(rotating_login(*target[:3]).model_copy(update=holding)))
    except LoginRefused:
        if target.user is not None:
            raise
        return stack.enter_context(connect(first))


def look(target: Target) -> Outlook:
    """Observe the host in one round trip, and plan.

    Waits while a change that a dead run left unconfirmed is there: the host takes it back. Raises
    HostLocked where it is that of a living one.
    """
    host = target.site.hosts[target.host]
    with way_in(target) as session:
        seen = _confirmed(session, host)
        return Outlook(
            plan=host_plan(target, session, seen),
            machine=seen.machine,
            peer=seen.peer,
            round_trips=session.round_trips,
            user=session.login.user,
            settled=not seen.cloud_init_runs,
        )


def look_when_settled(target: Target) -> Outlook:
    """Look again and again until cloud-init has ended. Raises CouldNotRun when it takes too long."""
    for _ in range(SETTLING_SECONDS // LOOK_AGAIN_SECONDS):
        time.sleep(LOOK_AGAIN_SECONDS)
        outlook = look(target)
        if outlook.settled:
            return outlook
    raise CouldNotRun(
        f"{target.host}: cloud-init has been at work for {SETTLING_SECONDS // 60} minutes.",
        "`cloud-init status --long` on the host tells where it hangs; then provision again.",
    )


def _confirmed(session: Session, host: Host) -> HostState:
    """The host's state once nothing in it is unconfirmed. Raises CouldNotRun after 90 s, HostLocked."""
    deadline = time.monotonic() + LONGEST_UNCONFIRMED
    while (seen := observe(session, ObserveRequest(admin=host.admin)).host).unconfirmed:
        refuse_if_locked(session)
        if time.monotonic() > deadline:
            raise CouldNotRun(
                f"{session.login.name}: a change of SSH, users or firewall is neither confirmed nor "
                f"taken back since {LONGEST_UNCONFIRMED} s.",
                "Is another run at work on the host? Then wait for its end, and try again.",
            )
        time.sleep(UNCONFIRMED_PAUSE)
    return seen


def host_plan(target: Target, session: Session, seen: HostState) -> Plan[HostChange]:
    """What is to be changed on the host that was seen in this session.

    Raises BadInput like `plan_host`, and where the key that we use is not a declared one.
    """
    host, ports = target.site.hosts[target.host], published_ports(target.site, target.host)
    _require_declared_key(target)
    plan = plan_host(target.host, host, ports, seen)
    previous = target.settings.previous_ssh_key
    if previous is None or session.login.user != target.admin.user:
        return plan
    if session.login.key_file == target.admin.key_file:
        return plan.model_copy(update={"notes": (*plan.notes, _previous_key_note(previous, seen))})
    return plan


def _require_declared_key(target: Target) -> None:
    """Or provisioning would shut us out: the key that opens a new machine need not be the admin's."""
    key_file, declared = target.admin.key_file, target.admin.declared_keys
    if key_file and public_half(key_file) not in {" ".join(key.split()[:2]) for key in declared}:
        raise BadInput(
            f"The public half of {key_file} is none of hosts.{target.host}.admin_keys: once provisioned, "
            f"{target.host} would not let it in.",
            "Write it there, or name another key in MESHKEEPER_SSH_KEY.",
        )


def _previous_key_note(previous: Path, seen: HostState) -> str:
    setting = "MESHKEEPER_PREVIOUS_SSH_KEY"
    taken = {" ".join(key.split()[:2]) for key in seen.admin.authorized_keys} if seen.admin else ()
    if previous.is_file() and public_half(previous) in taken:
        return f"the key in {setting} still opens it, since admin_keys names that one, too"
    return f"the key in {setting} opens it no more: take that setting out"


def after(target: Target, change: HostChange) -> Target:
    """The way in once `change` is made: from then on the admin's."""
    return target._replace(user=target.admin.user) if isinstance(change, SetAdmin) else target


def require_in_order(target: Target) -> Outlook:
    """Look again after a change. Raises StepFailed naming the items that did not hold."""
    outlook = look(target)
    if not outlook.plan.empty:
        raise StepFailed(
            f"{target.host}: after provisioning these still differ: "
            + "; ".join(f"{change.item} ({change.summary})" for change in outlook.plan.changes),
            "Does something else on the host change them back?",
        )
    return outlook
