"""What changes by itself on a host, graded: updates, reboot, room, units, bans. Pure."""

from collections.abc import Iterable

from infra.model.audit import Finding
from infra.model.host import HealthState, Machine
from infra.model.site import Host
from infra.planning.question import Question

_DAY = 86_400
#: Seconds. apt's timers go daily, at times of their own choice.
LATE = 3 * _DAY
#: Seconds. The window for a reboot comes daily.
MISSED = 2 * _DAY
#: The share of disk or memory below which something will fail soon.
LEAST_FREE = 0.1
#: Names that one sentence tells.
MOST_NAMES = 10
_GIB = 1024**3

_UPDATES = Question("host.security-updates", "apt, by the host's own package lists")
_RUNS = Question("host.upgrade-runs", "the time stamp of unattended-upgrades")
_REBOOT = Question("host.reboot", "/run/reboot-required")
_DISK = Question("host.disk", "the file system at /")
_MEMORY = Question("host.memory", "the kernel, and its control group")
_UNITS = Question("host.units", "systemctl list-units --failed")
_BANS = Question("host.bans", "fail2ban-client status sshd")


def health_findings(host: Host, machine: Machine, health: HealthState) -> Iterable[Finding]:
    """Ages are by the host's own clock, which wrote the times."""
    now = machine.clock
    yield _security_updates(health, now)
    yield _upgrade_runs(health, now)
    yield _reboot(host, health, now)
    yield _room(_DISK, machine.disk_free_bytes, machine.disk_bytes, "'sudo du -xhd2 /'")
    yield _room(_MEMORY, health.ram_free_bytes, machine.ram_bytes, "'ps aux --sort=-rss'")
    yield _units(health)
    yield _bans(health)


def _security_updates(health: HealthState, now: float) -> Finding:
    """Those that wait for the next run are no fault; those that a run left out are."""
    todo = "'sudo apt-get update' on the host tells why."
    if health.security_updates is None:
        return _UPDATES.not_asked("apt does not tell, or knows no security suite", todo)
    if now - health.lists_at > LATE:
        return _UPDATES.not_asked(f"its lists are {_age(now - health.lists_at)} old", todo)
    waiting = _several(health.security_updates)
    if not waiting:
        return _UPDATES.in_order("none is missing")
    if _runs_come(health, now) and health.upgraded_at <= health.lists_at:
        return _UPDATES.in_order(f"for the next run: {waiting}")
    todo = "'sudo unattended-upgrade -v' on the host installs them, or tells why not."
    return _UPDATES.to_do(f"missing: {waiting}", todo)


def _upgrade_runs(health: HealthState, now: float) -> Finding:
    ended = f"none ended well yet, in the {_age(now - health.upgrades_since)} since it is set up"
    if not health.upgrades_since:
        ended = "not set up"
    elif health.upgraded_at:
        ended = f"the last one ended well {_age(now - health.upgraded_at)} ago"
    if _runs_come(health, now):
        return _RUNS.in_order(ended)
    todo = "Look at /var/log/unattended-upgrades and 'systemctl list-timers' on the host."
    return _RUNS.to_do(ended, todo)


def _runs_come(health: HealthState, now: float) -> bool:
    last = max(health.upgraded_at, health.upgrades_since)
    return health.upgrades_since > 0 and now - last <= LATE


def _reboot(host: Host, health: HealthState, now: float) -> Finding:
    if not health.reboot_required_since:
        return _REBOOT.in_order("none is needed")
    waits = now - health.reboot_required_since
    state = f"an update has needed one for {_age(waits)}"
    if host.reboot_at and waits <= MISSED:
        return _REBOOT.in_order(f"{state}, and it comes at {host.reboot_at}")
    return _REBOOT.to_do(state, "'sudo reboot' on the host, when it suits you.")


def _room(question: Question, free: int, whole: int, look: str) -> Finding:
    state = f"{free / _GIB:.1f} of {whole / _GIB:.1f} GiB free"
    if free < LEAST_FREE * whole:
        return question.to_do(state, f"{look} on the host shows what takes it.")
    return question.in_order(state)


def _units(health: HealthState) -> Finding:
    if health.failed_units is None:
        return _UNITS.not_asked("systemd does not tell", "Is the host about to go down?")
    if failed := _several(health.failed_units):
        return _UNITS.to_do(f"failed: {failed}", "'systemctl status UNIT' on the host tells why.")
    return _UNITS.in_order("none has failed")


def _bans(health: HealthState) -> Finding:
    if health.banned is None:
        return _BANS.not_asked("the jail does not answer", "See host.fail2ban.")
    return _BANS.in_order(f"banned from SSH now: {health.banned}")


def _several(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _age(seconds: float) -> str:
    hours = max(0, round(seconds / 3_600))
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
