"""Services of a host that are wholly described by packages, files and what makes them live. Pure."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from infra.model.host import HostState
from infra.model.host_change import Configure, ManagedFile
from infra.model.site import Host

FAIL2BAN = "/etc/fail2ban/jail.d/meshkeeper.local"
UPGRADES = "/etc/apt/apt.conf.d/52meshkeeper"
JOURNALD = "/etc/systemd/journald.conf.d/90-meshkeeper.conf"
SYSCTL = "/etc/sysctl.d/90-meshkeeper.conf"
FILES = (FAIL2BAN, UPGRADES, JOURNALD, SYSCTL)

BASE_PACKAGES = ("ca-certificates", "iptables", "nftables", "python3", "sudo", "tzdata", "ufw")
PACKAGES = (
    *BASE_PACKAGES,
    "fail2ban",
    "nftables",
    "python3-systemd",
    "unattended-upgrades",
)

NOTE = "meshkeeper's: what is changed here by hand is put back.\n"
_UPGRADE, _FALSE = "Unattended-Upgrade", '"false"'
#: No route is taken from strangers, none is told to them. Source: Debian's and the CIS guide's lists.
SYSCTLS = {
    # `all` and `default` leave the interfaces as they are that exist already; and IPv4 sends
    # redirects where either says so.
    **{
        f"net.ipv4.conf.*.{key}": "0"
        for key in ("accept_redirects", "accept_source_route", "secure_redirects", "send_redirects")
    },
    **{f"net.ipv6.conf.*.{key}": "0" for key in ("accept_redirects", "accept_source_route")},
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.icmp_ignore_bogus_error_responses": "1",
    "net.ipv4.tcp_syncookies": "1",
}


class Service(NamedTuple):
    """How a service shall be; `dead` says of a host why it is not live there, or nothing."""

    name: str
    summary: str
    packages: tuple[str, ...]
    files: tuple[ManagedFile, ...]
    activate: str
    dead: Callable[[HostState], str]

    @property
    def item(self) -> str:
        return f"host.{self.name}"

    @property
    def digest(self) -> str:
        """SHA-256 (hex): what the host notes once it has been made live."""
        content = [[file.model_dump() for file in self.files], self.activate]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def base() -> Service:
    return Service("packages", "install what the rest needs", BASE_PACKAGES, (), "", lambda _: "")


def dpkg() -> Service:
    """Before all others: with an installation that was broken off, apt installs nothing."""
    return Service(
        "dpkg",
        "finish an installation that was broken off",
        (),
        (),
        # A package that can't be configured may be one that has to be unpacked anew.
        "dpkg --force-confold --configure -a >/dev/null || true\n"
        "apt --fix-broken install -y >/dev/null\n",
        lambda state: "apt refuses to work until then" if state.unfinished else "",
    )


def plan_services(host: Host, state: HostState) -> Iterable[Configure]:
    """Those that differ. The base comes before them, Docker last."""
    services = (fail2ban(state), upgrades(host), journald(), sysctl())
    return (change for service in services for change in plan_service(service, state))


def plan_service(service: Service, state: HostState) -> Iterable[Configure]:
    """Its change, if anything about it is not as it shall be."""
    missing = tuple(package for package in service.packages if package not in state.packages)
    reasons = [f"installs {', '.join(missing)}"] if missing else []
    reasons += [
        f"writes {file.path}" for file in service.files if state.files.get(file.path) != file.text
    ]
    if reason := service.dead(state):
        reasons.append(reason)
    if service.files and not reasons and state.applied.get(service.item) != service.digest:
        reasons.append("the files were written, but never made live")
    if reasons:
        yield Configure(
            item=service.item,
            summary=service.summary,
            detail="\n".join(reasons),
            packages=missing,
            files=service.files,
            activate=service.activate,
            digest=service.digest,
        )


def fail2ban(state: HostState) -> Service:
    """Three failures in ten minutes: an hour without SSH; never for the address we come from."""
    ports = ",".join(state.sshd.get("port", ("22",)))
    ours = [str(state.peer)] if state.peer else []
    # Aggressive: with passwords off, the normal mode counts only users that do not exist.
    jail = (
        f"# {NOTE}[DEFAULT]\n"
        f"ignoreip = {' '.join(['127.0.0.1/8', '::1', *ours])}\n"
        "banaction = nftables\n[sshd]\nenabled = true\nbackend = systemd\nmode = aggressive\n"
        f"port = {ports}\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"
    )
    return Service(
        "fail2ban",
        "ban addresses whose logins keep failing, and never ours",
        ("fail2ban", "nftables", "python3-systemd"),
        (ManagedFile(path=FAIL2BAN, text=jail),),
        "fail2ban-client -t >/dev/null\nsystemctl -q enable fail2ban\nsystemctl restart fail2ban\n",
        _unless_running("fail2ban.service"),
    )


def upgrades(host: Host) -> Service:
    """Security updates each day; a reboot only in the window, and only where one needs it."""
    automatic = f'"true";\n{_UPGRADE}::Automatic-Reboot-Time "{host.reboot_at}"'
    text = (
        f"// {NOTE}"
        'APT::Periodic::Update-Package-Lists "1";\n'
        'APT::Periodic::Unattended-Upgrade "1";\n'
        f'{_UPGRADE}::Remove-Unused-Dependencies "true";\n'
        f'{_UPGRADE}::Automatic-Reboot-WithUsers "true";\n'
        f"{_UPGRADE}::Automatic-Reboot {automatic if host.reboot_at else _FALSE};\n"
    )
    timers = "apt-daily.timer apt-daily-upgrade.timer"
    reboot = f"a reboot for them at {host.reboot_at}" if host.reboot_at else "no reboot"
    return Service(
        "upgrades",
        f"security updates by themselves, {reboot}",
        ("unattended-upgrades",),
        (ManagedFile(path=UPGRADES, text=text),),
        f"systemctl -q enable --now {timers}\n",
        lambda state: (
            "" if set(timers.split()) <= set(state.enabled) else "starts apt's daily timers"
        ),
    )


def journald() -> Service:
    """The journal outlives a reboot, and can't fill the disk."""
    text = f"# {NOTE}[Journal]\nStorage=persistent\nSystemMaxUse=200M\nMaxRetentionSec=3month\n"
    return Service(
        "journald",
        "keep the journal over reboots, 200 MB of it at most",
        (),
        (ManagedFile(path=JOURNALD, text=text),),
        "mkdir -p /var/log/journal\nsystemctl restart systemd-journald\njournalctl --flush\n",
        _unless_running("systemd-journald.service"),
    )


def sysctl() -> Service:
    return sysctl_file("sysctl", "take no routes from strangers, and give none", SYSCTL, SYSCTLS)


def sysctl_file(name: str, summary: str, path: str, settings: Mapping[str, str]) -> Service:
    """Settings of the kernel, as it has them now and after each boot."""
    text = f"# {NOTE}" + "".join(f"{key} = {value}\n" for key, value in settings.items())
    return Service(
        name,
        summary,
        (),
        (ManagedFile(path=path, text=text),),
        f"/usr/lib/systemd/systemd-sysctl {path}\n",
        lambda state: _differing(settings, state),
    )


def _differing(settings: Mapping[str, str], state: HostState) -> str:
    # What this kernel does not have (no IPv6, say) can't be wrong.
    differing = [key for key, value in settings.items() if state.sysctl.get(key, value) != value]
    return f"sets {', '.join(differing)}" if differing else ""


def _unless_running(service: str) -> Callable[[HostState], str]:
    return lambda state: "" if service in state.running else f"starts {service}"
