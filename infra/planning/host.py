"""Observed and wanted host → the changes between them, in an order that locks nobody out. Pure."""

from collections.abc import Iterable

from infra.errors import BadInput
from infra.model.fields import PublishedPort
from infra.model.host import HostState
from infra.model.host_change import HostChange, RemovePackages, SetModes, SetTimezone
from infra.model.plan import Plan
from infra.model.site import Host
from infra.planning import (
    host_access,
    host_backup,
    host_docker,
    host_firewall,
    host_kernel,
    host_listeners,
    host_services,
)

#: They listen on the network, or send passwords over it, and no site needs them.
NEEDLESS_PACKAGES = (
    "avahi-daemon",
    "cups-daemon",
    "exim4-daemon-light",
    "inetutils-telnetd",
    "nis",
    "rpcbind",
    "rsh-redone-server",
    "snmpd",
    "telnetd",
    "tftpd-hpa",
    "xinetd",
)
PACKAGES = (
    *host_services.PACKAGES,
    *host_kernel.PACKAGES,
    *host_docker.PACKAGES,
    *NEEDLESS_PACKAGES,
)
MANAGED_FILES = (
    *host_access.FILES,
    *host_backup.FILES,
    *host_firewall.UFW_BLOCKS,
    *host_services.FILES,
    *host_kernel.FILES,
    *host_docker.FILES,
)
SYSCTLS = (*host_services.SYSCTLS, *host_kernel.SETTINGS)
#: The most that others may do with root's files; as Debian and OpenSSH deliver them.
MODES = {
    "/etc/gshadow": 0o640,
    "/etc/shadow": 0o640,
    "/etc/ssh/ssh_host_ecdsa_key": 0o600,
    "/etc/ssh/ssh_host_ed25519_key": 0o600,
    "/etc/ssh/ssh_host_rsa_key": 0o600,
    "/etc/ssh/sshd_config": 0o644,
    "/etc/sudoers": 0o440,
    "/root": 0o700,
    host_kernel.SWAP_FILE: 0o600,
}
#: Seconds. Certificates and logins bear more, schedules and logs are read side by side.
CLOCK_TOLERANCE = 5
_UTC = ("", "Etc/UTC", "UTC")


def plan_host(
    name: str, host: Host, ports: tuple[PublishedPort, ...], state: HostState
) -> Plan[HostChange]:
    """What brings the host to its wanted state; `ports` are those its stacks publish.

    First the way in that stays (admin), then the old one's end (sshd), then the firewall, and
    Docker only behind it. Raises BadInput for a system that is not Debian 13 or 12, and for a firewall
    that would shut us out.
    """
    if state.os != "debian" or state.os_version not in host_docker.RELEASES:
        raise BadInput(
            f"{name} ({host.address}) runs {state.os or 'an unknown system'} {state.os_version}; "
            "meshkeeper keeps Debian 13 and 12.",
            "Install Debian 13 on it.",
        )
    changes = (
        *host_services.plan_service(host_services.dpkg(), state),
        *host_services.plan_service(host_services.base(), state),
        *_timezone(host, state),
        *host_access.plan_admin(host, state),
        *host_backup.plan_backup_account(host, state),
        *host_access.plan_sshd(state),
        *host_firewall.plan_firewall(name, host, ports, state),
        *host_services.plan_services(host, state),
        *host_kernel.plan_kernel(name, host, state),
        *_needless(state),
        *_modes(state),
        *host_docker.plan_docker(host.docker, state),
    )
    notes = (
        *_cloud_init_notes(state),
        *host_access.account_notes(state),
        *host_access.match_notes(state),
        *host_firewall.firewall_notes(host, ports, state),
        *host_listeners.listener_notes(ports, state),
        *host_kernel.kernel_notes(name, host, state),
        *clock_notes(state),
        *_unconfirmed_notes(state),
    )
    return Plan(target=name, changes=changes, notes=notes)


def _needless(state: HostState) -> Iterable[RemovePackages]:
    present = tuple(package for package in NEEDLESS_PACKAGES if package in state.packages)
    if present:
        yield RemovePackages(
            item="host.needless",
            summary=f"remove {', '.join(present)}: nothing here needs it, and it listens",
            packages=present,
        )


def _timezone(host: Host, state: HostState) -> Iterable[SetTimezone]:
    same = host.timezone in _UTC and state.timezone in _UTC
    if host.timezone != state.timezone and not same:
        yield SetTimezone(
            item="host.timezone",
            summary=f"set the time zone to {host.timezone} (now {state.timezone or 'UTC'})",
            timezone=host.timezone,
        )


def _cloud_init_notes(state: HostState) -> Iterable[str]:
    if state.cloud_init_runs:
        yield "cloud-init is still at work on it: provisioning waits until that is done"


def clock_notes(state: HostState) -> Iterable[str]:
    offset = state.machine.clock_offset
    if abs(offset) > CLOCK_TOLERANCE:
        where = "ahead of" if offset > 0 else "behind"
        yield f"its clock is {abs(offset):.0f} s {where} ours: one of the two is wrong"


def _unconfirmed_notes(state: HostState) -> Iterable[str]:
    if state.unconfirmed:
        yield (
            "another run is at work on it, or died a moment ago: what that one changed last may be "
            "taken back within a minute"
        )


def _modes(state: HostState) -> Iterable[SetModes]:
    wrong = {
        path: seen
        for path, seen in state.modes.items()
        if path in MODES and (seen.mode & ~MODES[path] or seen.owner != "root")
    }
    if wrong:
        yield SetModes(
            item="host.modes",
            summary=f"close {', '.join(wrong)} to others",
            detail="\n".join(
                f"{path} is {seen.mode:04o} {seen.owner}" for path, seen in wrong.items()
            ),
            modes={path: MODES[path] for path in wrong},
        )
