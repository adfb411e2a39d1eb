"""Observed and wanted host → the changes between them, in an order that locks nobody out. Pure."""

from collections.abc import Iterable

from infra.errors import BadInput
from infra.model.fields import PublishedPort
from infra.model.host import (
    HardenSshd,
    HostChange,
    HostState,
    InstallPackages,
    SetAdmin,
    SetDocker,
    SetFirewall,
    SetTimezone,
)
from infra.model.plan import Plan
from infra.model.site import Host
from infra.planning import host_files as wanted
from infra.planning.host_backup import BACKUP_FILES, plan_backup_account

BASE_PACKAGES = ("ca-certificates", "iptables", "python3", "sudo", "tzdata", "ufw")
#: Debian 13 splits the engine; docker-compose is Compose 2, as the plugin `docker compose` too.
DOCKER_PACKAGES = ("apparmor", "docker.io", "docker-cli", "docker-compose")
PACKAGES = BASE_PACKAGES + DOCKER_PACKAGES
MANAGED_FILES = wanted.MANAGED_FILES + BACKUP_FILES
_UTC = ("", "Etc/UTC", "UTC")


def plan_host(
    name: str, host: Host, ports: tuple[PublishedPort, ...], state: HostState
) -> Plan[HostChange]:
    """What brings the host to its wanted state; `ports` are those its stacks publish.

    First the way in that stays (admin), then the old one's end (sshd), then the firewall, and
    Docker only behind it. Raises BadInput for a system that is not Debian 13.
    """
    if (state.os, state.os_version) != ("debian", "13"):
        raise BadInput(
            f"{name} ({host.address}) runs {state.os or 'an unknown system'} {state.os_version}; "
            "meshkeeper keeps Debian 13.",
            "Install Debian 13 on it (Debian 12 has no Compose 2 of its own).",
        )
    changes = (
        *_packages(state),
        *_timezone(host, state),
        *_admin(host, state),
        *plan_backup_account(host, state),
        *_sshd(state),
        *_firewall(ports, state),
        *_docker(host, state),
    )
    return Plan(target=name, changes=changes)


def _packages(state: HostState) -> Iterable[InstallPackages]:
    if missing := _missing(BASE_PACKAGES, state):
        yield InstallPackages(
            item="host.packages", summary=f"install {', '.join(missing)}", packages=missing
        )


def _timezone(host: Host, state: HostState) -> Iterable[SetTimezone]:
    same = host.timezone in _UTC and state.timezone in _UTC
    if host.timezone != state.timezone and not same:
        yield SetTimezone(
            item="host.timezone",
            summary=f"set the time zone to {host.timezone} (now {state.timezone or 'UTC'})",
            timezone=host.timezone,
        )


def _admin(host: Host, state: HostState) -> Iterable[SetAdmin]:
    sudoers = wanted.sudoers_text(host.admin)
    reasons = _admin_reasons(host, state)
    if state.files.get(wanted.SUDOERS) != sudoers:
        reasons.append("sudo without password")
    if reasons:
        yield SetAdmin(
            item="host.admin",
            summary=f"administrator {host.admin}: {', '.join(reasons)}",
            detail=_foreign_keys(host, state),
            user=host.admin,
            public_keys=host.admin_keys,
            sudoers=sudoers,
        )


def _admin_reasons(host: Host, state: HostState) -> list[str]:
    if state.admin is None:
        return ["new account"]
    reasons = []
    if state.admin.shell != "/bin/bash" or "sudo" not in state.admin.groups:
        reasons.append("shell and group")
    if set(state.admin.authorized_keys) != set(host.admin_keys):
        reasons.append("the declared keys, and no others")
    return reasons


def _foreign_keys(host: Host, state: HostState) -> str:
    present = state.admin.authorized_keys if state.admin else ()
    foreign = [key for key in present if key not in host.admin_keys]
    return "\n".join(f"removes the key {key}" for key in foreign)


def _sshd(state: HostState) -> Iterable[HardenSshd]:
    wrong = {
        key: " and ".join(state.sshd.get(key, ("unset",)))
        for key, value in wanted.SSHD_SETTINGS.items()
        if state.sshd.get(key) != (value,)
    }
    drop_in = wanted.sshd_text()
    if wrong or state.files.get(wanted.SSHD_DROP_IN) != drop_in:
        yield HardenSshd(
            item="host.sshd",
            summary="log in by key only, and not as root",
            detail="\n".join(f"{key} is {value} now" for key, value in wrong.items()),
            drop_in=drop_in,
        )


def _firewall(ports: tuple[PublishedPort, ...], state: HostState) -> Iterable[SetFirewall]:
    # What sshd itself listens on: the site file's port may be one that is forwarded to it.
    sshd = tuple(PublishedPort(port=int(port)) for port in state.sshd.get("port", ("22",)))
    opened = tuple(dict.fromkeys((*sshd, *ports)))
    rules, block = wanted.ufw_tuples(opened), wanted.docker_block(ports)
    reasons = _firewall_reasons(state, rules, block)
    if reasons or not _docker_rules_live(ports, state):
        yield SetFirewall(
            item="host.firewall",
            summary=f"open only {', '.join(map(str, opened))}, for Docker's publications too",
            detail="\n".join(reasons),
            ports=tuple(map(str, opened)),
            rules=rules,
            block=block,
        )


def _firewall_reasons(state: HostState, rules: tuple[str, ...], block: str) -> list[str]:
    firewall = state.firewall
    reasons = [f"closes: {rule}" for rule in firewall.rules if rule not in rules]
    reasons += [f"opens: {rule}" for rule in rules if rule not in firewall.rules]
    if not firewall.enabled or {firewall.policy, *firewall.live_policies} != {"DROP"}:
        reasons.append("UFW is off")
    if any(block not in state.files.get(path, "") for path in wanted.UFW_BLOCKS):
        reasons.append("Docker's publications bypass UFW")
    return reasons


def _docker_rules_live(ports: tuple[PublishedPort, ...], state: HostState) -> bool:
    """Whether the kernel begins its chain with ours; Docker may add a RETURN, which says nothing."""
    rules = wanted.docker_rules(ports)
    return state.firewall.live_docker[: len(rules)] == rules


def _docker(host: Host, state: HostState) -> Iterable[SetDocker]:
    daemon = wanted.daemon_text(host.docker)
    missing = _missing(DOCKER_PACKAGES, state)
    reasons = [f"install {', '.join(missing)}"] if missing else []
    if "docker.service" not in state.enabled or state.engine is None:
        reasons.append("start the engine")
    elif not state.engine.live_restore or state.engine.log_driver != "local":
        reasons.append("let the engine use its settings")
    if state.files.get(wanted.DAEMON) != daemon:
        reasons.append("bounded logs, containers outlive a restart of the engine")
    if reasons:
        yield SetDocker(
            item="host.docker", summary="; ".join(reasons), packages=missing, daemon=daemon
        )


def _missing(packages: tuple[str, ...], state: HostState) -> tuple[str, ...]:
    return tuple(package for package in packages if package not in state.packages)
