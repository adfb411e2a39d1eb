"""What an audit says of a host: a finding for each item, graded. Pure.

The hardening list is not checked a second time: a change in the plan is an item not in order.
"""

from collections.abc import Iterable
from typing import NamedTuple

from infra.errors import MeshkeeperError
from infra.model.audit import Finding
from infra.model.fields import PublishedPort
from infra.model.host import HostState
from infra.model.host_change import HostChange
from infra.model.observation import Observation
from infra.model.site import Host
from infra.planning import host_kernel
from infra.planning.audit_health import health_findings
from infra.planning.host import clock_notes, plan_host
from infra.planning.host_access import account_notes, match_notes
from infra.planning.host_firewall import firewall_notes
from infra.planning.host_listeners import listener_notes
from infra.planning.question import Question


class Item(NamedTuple):
    """An item of the hardening list: how it is when it is in order, and what is asked."""

    state: str
    proof: str


ITEMS = {
    "host.dpkg": Item("no installation was broken off", "dpkg's list and journal"),
    "host.packages": Item("what the rest needs is installed", "dpkg's list"),
    "host.timezone": Item("as the site file says", "/etc/localtime"),
    "host.admin": Item(
        "account, sudo, and the declared keys and no others",
        "the account, its authorized_keys, the sudo drop-in",
    ),
    "host.backup": Item(
        "as declared: it can only fetch snapshots, or is not there",
        "the account, its keys, program and sudo rule, and who may change them",
    ),
    "host.sshd": Item(
        "keys only, no root, strong algorithms", "sshd -T -C for root and the admin, from outside"
    ),
    "host.firewall": Item(
        "lets in what is declared, for Docker's publications too",
        "UFW's rules, the kernel's chains INPUT and DOCKER-USER",
    ),
    "host.fail2ban": Item("it runs, and never bans us", "the jail's file, the service"),
    "host.upgrades": Item(
        "security updates by themselves, with the declared window", "apt's settings and timers"
    ),
    "host.journald": Item("kept over reboots, and capped", "its settings, the service"),
    "host.sysctl": Item("no routes from strangers", "the kernel's values"),
    "host.kernel": Item("it tells strangers little", "the kernel's values"),
    "host.time": Item("a time service runs, and at the next boot, too", "the service"),
    "host.swap": Item("as the site file says", "/proc/swaps, and what starts at boot"),
    "host.needless": Item("no needless service is installed", "dpkg's list"),
    "host.modes": Item("closed to others", "modes and owners of root's files"),
    "host.docker": Item(
        "bounded logs, and containers that outlive its restart", "the engine's own answer"
    ),
}
#: On Debian 12 only.
_COMPOSE = {"host.compose": Item("Compose 2, and nothing else from Debian 13", "dpkg's list")}
_REACHED = Question("host.reached", "a login, and a look in one round trip")
_LISTENERS = Question("host.listeners", "the kernel's tables of sockets, and whose they are")
_ACCOUNTS = Question("host.accounts", "accounts with keys, root's groups, sudo's rules")
_BLOCKS = Question("host.sshd-blocks", "lines `Match …` of sshd's files")
_FOREIGN = Question("host.foreign-rules", "UFW's rules, the kernel's chain INPUT")
_CLOCK = Question("host.clock", "its time against both ends of the round trip")


def host_findings(
    name: str, host: Host, ports: tuple[PublishedPort, ...], seen: Observation
) -> tuple[Finding, ...]:
    """All that can be said of a host from inside. Raises BadInput like `plan_host`."""
    changes = {change.item: change for change in plan_host(name, host, ports, seen.host).changes}
    without = host_kernel.left_out(name, host, seen.host)
    items = ITEMS | (_COMPOSE if seen.host.os_version == "12" else {})
    planned = (
        _planned(item, wanted, changes.get(item))
        for item, wanted in items.items()
        if item not in without
    )
    lacking = (
        Question(item, ITEMS[item].proof).to_do(why, "Make room, or ask for less in the site file.")
        for item, why in without.items()
        if _settable(item, seen.host)
    )
    noted = _noted(host, ports, seen.host)
    health = health_findings(host, seen.host.machine, seen.health) if seen.health else ()
    return (*planned, *lacking, *noted, *health)


def host_notes(name: str, host: Host, seen: Observation) -> tuple[str, ...]:
    """What is not put as a question, since this host can't have it."""
    without = host_kernel.left_out(name, host, seen.host)
    return tuple(
        f"{item}: {why}" for item, why in without.items() if not _settable(item, seen.host)
    )


def _settable(item: str, state: HostState) -> bool:
    return item.removeprefix("host.") in state.machine.settable


def host_unknown(error: MeshkeeperError) -> Finding:
    """Instead of all of them, for a host that gave no answer."""
    return _REACHED.not_asked(error.message, error.hint)


def _planned(item: str, wanted: Item, change: HostChange | None) -> Finding:
    question = Question(item, wanted.proof)
    if change is None:
        return question.in_order(wanted.state)
    state = "; ".join(change.detail.splitlines()) or "not as the site file wants it"
    return question.to_do(state, f"'meshkeeper provision': {change.summary}.")


def _noted(host: Host, ports: tuple[PublishedPort, ...], state: HostState) -> Iterable[Finding]:
    """What provisioning leaves as it is, since only a person can decide."""
    listening, foreign = listener_notes(ports, state), firewall_notes(host, ports, state)
    yield _unless(
        _LISTENERS.in_order("nobody but sshd, the stacks and the host's own work"),
        _LISTENERS.to_do(
            "; ".join(listening),
            "Stop it, or let it listen on 127.0.0.1: only the firewall shuts it off, if at all.",
        ),
    )
    yield _unless(
        _ACCOUNTS.in_order("nobody but the admin logs in or becomes root"),
        _ACCOUNTS.to_do(
            "; ".join(account_notes(state)),
            "Take on the host what is not wanted: 'deluser NAME', or its file in /etc/sudoers.d.",
        ),
    )
    yield _unless(
        _BLOCKS.in_order("no conditional settings but ours"),
        _BLOCKS.to_do(
            "; ".join(match_notes(state)), "Read that block on the host, and delete it if you can."
        ),
    )
    yield _unless(
        _FOREIGN.in_order("the firewall has no rules but ours"),
        _FOREIGN.to_do(
            "; ".join(foreign),
            "Delete them on the host, or write foreign_rules: remove to the site file.",
        ),
    )
    yield _unless(
        _CLOCK.in_order("it goes with ours"),
        _CLOCK.to_do(
            "; ".join((*clock_notes(state), *host_kernel.time_notes(state))),
            "Compare both with a clock you trust; 'timedatectl' tells whether one is kept.",
        ),
    )


def _unless(in_order: Finding, to_do: Finding) -> Finding:
    """`to_do`, if it has anything to tell."""
    return to_do if to_do.state else in_order
