"""Planner cases: each file in tests/cases/host changes a host that is in order, and says what the
plan is then. Mappings are merged into what is there when all is in order, unless they say `only`;\n`+` in a list stands for what is in it then."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import BadInput
from infra.model.fields import PublishedPort
from infra.model.host import HostState
from infra.model.site import Host
from infra.planning import host_access, host_docker, host_firewall, host_kernel, host_services
from infra.planning.host import NEEDLESS_PACKAGES, PACKAGES, plan_host

CASES = sorted((Path(__file__).parents[1] / "cases/host").glob("*.json"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx4 alice@home"
PORTS = (PublishedPort(port=80), PublishedPort(port=443, protocol="udp"))
HOST: dict[str, Any] = {"address": "203.0.113.10", "admin_keys": (KEY,)}
PEER = "198.51.100.7"
LISTENERS = [
    {"port": 22, "protocol": "tcp", "address": "::", "process": "sshd"},
    {"port": 68, "protocol": "udp", "address": "203.0.113.10", "process": "dhcpcd"},
    {"port": 80, "protocol": "tcp", "address": "203.0.113.10", "process": "docker-proxy"},
    {"port": 443, "protocol": "udp", "address": "::", "process": "docker-proxy"},
    {"port": 41641, "protocol": "udp", "address": "203.0.113.10", "process": "tailscaled"},
    {"port": 51234, "protocol": "tcp", "address": "100.64.0.1", "process": "tailscaled"},
    {"port": 51789, "protocol": "udp", "address": "203.0.113.10", "process": "systemd-timesyn"},
]
MACHINE = {
    "ram_bytes": 1 << 30,
    "architecture": "x86_64",
    "cores": 1,
    "disk_bytes": 32 << 30,
    "disk_free_bytes": 20 << 30,
    "filesystem": "ext4",
    "settable": ["swap", "time", "kernel"],
    "kernel": "6",
    "virtualisation": "vm",
    "provider": "Vultr",
    "clock": 1,
}


def in_order() -> dict[str, Any]:
    host, block = Host(**HOST), host_firewall.docker_block(PORTS)
    sshd = {key: [value] for key, value in host_access.SSHD_SETTINGS.items()}
    state = {
        "os": "debian",
        "os_version": "13",
        "packages": dict.fromkeys(set(PACKAGES) - set(NEEDLESS_PACKAGES), "1"),
        "unfinished": False,
        "admin": {"shell": "/bin/bash", "groups": ["sudo"], "authorized_keys": [KEY]},
        "sshd": {"port": ["22"], **sshd},
        "backup": None,
        "files": {
            host_access.SUDOERS: host_access.sudoers_text(host.admin),
            host_access.SSHD_DROP_IN: host_access.sshd_text(),
            **dict.fromkeys(host_firewall.UFW_BLOCKS, f"# UFW's own\n{block}"),
        },
        "loose": [],
        "other_accounts": {},
        "match_blocks": [],
        "timezone": "Etc/UTC",
        "enabled": [
            "apt-daily.timer",
            "apt-daily-upgrade.timer",
            "docker.service",
            "ssh.service",
            "systemd-timesyncd.service",
            "var-lib-meshkeeper-swapfile.swap",
        ],
        "firewall": {
            "enabled": True,
            "policy": "DROP",
            "rules": list(host_firewall.ufw_rules(host, (PublishedPort(port=22),), PORTS)),
            "live_policies": ("DROP", "DROP"),
            "live_docker": (*host_firewall.docker_rules(PORTS), "-j RETURN"),
            "live_docker6": (*host_firewall.docker_rules(PORTS), "-j RETURN"),
            "live_input": (),
        },
        "engine": {"version": "26.1.5", "live_restore": True, "log_driver": "local"},
        "machine": MACHINE,
        "running": ["fail2ban.service", "systemd-journald.service", "systemd-timesyncd.service"],
        "applied": {},
        "sysctl": host_services.SYSCTLS | host_kernel.SETTINGS,
        "swaps": {host_kernel.SWAP_FILE: (1 << 30) - 4096},
        "swap_file_bytes": 1 << 30,
        "clock_set": True,
        "modes": {"/etc/shadow": {"mode": 0o640, "owner": "root"}},
        "unconfirmed": False,
        "cloud_init_runs": False,
        "peer": PEER,
        "listeners": LISTENERS,
        "more_listeners": False,
    }
    for service in services(host, state):
        state["files"] |= {file.path: file.text for file in service.files}
        state["applied"][service.item] = service.digest
    return state


def services(host: Host, state: dict[str, Any]) -> list[host_services.Service]:
    seen = HostState.model_validate(state)
    return [
        host_services.fail2ban(seen),
        host_services.upgrades(host),
        host_services.journald(),
        host_services.sysctl(),
        host_kernel.settings(),
        host_kernel.swap(1024),
        host_docker.engine(host.docker, "13"),
    ]


def observed(changed: dict[str, Any]) -> HostState:
    state = in_order()
    return HostState.model_validate_json(json.dumps(merged(state, changed)))


def merged(usual: Any, changed: Any) -> Any:
    """Mappings go into the usual ones, unless they say `only`; a list with a `+` goes on from it."""
    if isinstance(changed, list) and "+" in changed:
        return [*usual, *(line for line in changed if line != "+")]
    if not isinstance(changed, dict) or not isinstance(usual, dict):
        return changed
    kept = {} if "only" in changed else usual
    values = {name: value for name, value in changed.items() if name != "only"}
    return kept | {name: merged(kept.get(name), value) for name, value in values.items()}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_for_a_host_that(path: Path) -> None:
    case = json.loads(path.read_text())
    host, state = Host(**HOST | case.get("host", {})), observed(case["state"])
    if "error" in case:
        with pytest.raises(BadInput, match=case["error"]):
            plan_host("vps", host, PORTS, state)
        return
    plan = plan_host("vps", host, PORTS, state)
    assert [f"{c.item}: {c.summary}" for c in plan.changes] == case["plan"], case["because"]
    if "detail" in case:
        assert plan.changes[0].detail == case["detail"]
    if "notes" in case:
        assert list(plan.notes) == case["notes"]


def test_there_are_cases() -> None:
    assert len(CASES) > 10


def test_the_same_host_gives_the_same_plan() -> None:
    bare = json.loads((CASES[0].parent / "bare.json").read_text())["state"]
    plans = [plan_host("vps", Host(**HOST), PORTS, observed(bare)) for _ in range(2)]
    assert plans[0].digest == plans[1].digest


def test_a_plan_shows_people_which_keys_and_ports_go() -> None:
    foreign = {
        "admin": {"shell": "/bin/bash", "groups": ["sudo"], "authorized_keys": ["ssh-rsa X"]}
    }
    plan = plan_host("vps", Host(**HOST), PORTS, observed(foreign))
    assert "      removes the key ssh-rsa X" in plan.describe().splitlines()
