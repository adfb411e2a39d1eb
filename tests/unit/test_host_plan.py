"""Planner cases: each file in tests/cases/host changes a host that is in order, and says what the
plan is then. `+` in a list stands for what is there when all is in order."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import BadInput
from infra.model.fields import PublishedPort
from infra.model.host import HostState
from infra.model.site import Host
from infra.planning import host_files as wanted
from infra.planning.host import PACKAGES, plan_host

CASES = sorted((Path(__file__).parents[1] / "cases/host").glob("*.json"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx4 alice@home"
PORTS = (PublishedPort(port=80), PublishedPort(port=443, protocol="udp"))
HOST: dict[str, Any] = {"address": "203.0.113.10", "admin_keys": (KEY,)}
MACHINE = {"ram_bytes": 1 << 30, "cores": 1, "disk_bytes": 1, "disk_free_bytes": 1, "kernel": "6"}


def in_order() -> dict[str, Any]:
    host, block = Host(**HOST), wanted.docker_block(PORTS)
    return {
        "os": "debian",
        "os_version": "13",
        "packages": dict.fromkeys(PACKAGES, "1"),
        "admin": {"shell": "/bin/bash", "groups": ["sudo"], "authorized_keys": [KEY]},
        "backup": None,
        "sshd": {"port": ["22"], **{key: [value] for key, value in wanted.SSHD_SETTINGS.items()}},
        "files": {
            wanted.SUDOERS: wanted.sudoers_text(host.admin),
            wanted.SSHD_DROP_IN: wanted.sshd_text(),
            wanted.DAEMON: wanted.daemon_text(host.docker),
            **dict.fromkeys(wanted.UFW_BLOCKS, f"# UFW's own\n{block}"),
        },
        "loose": [],
        "timezone": "Etc/UTC",
        "enabled": ["docker.service", "ssh.service"],
        "firewall": {
            "enabled": True,
            "policy": "DROP",
            "rules": wanted.ufw_tuples((PublishedPort(port=22), *PORTS)),
            "live_policies": ("DROP", "DROP"),
            "live_docker": (*wanted.docker_rules(PORTS), "-j RETURN"),
        },
        "engine": {"version": "26.1.5", "live_restore": True, "log_driver": "local"},
        "machine": MACHINE,
    }


def observed(changed: dict[str, Any]) -> HostState:
    state = in_order()
    for name, usual in state["firewall"].items():
        lines = changed.get("firewall", {}).get(name)
        if isinstance(lines, list) and "+" in lines:
            changed["firewall"][name] = [*usual, *(line for line in lines if line != "+")]
    return HostState.model_validate_json(json.dumps(state | changed))


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
