"""The whole site audited by the command: clean as it was set up, and each thing that is broken named."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from deployments.lab.machine import Machine
from deployments.lab.vps import vps_machine
from infra.audit.look import inside
from infra.host.provision import Target
from infra.model.host import HostState

DROP_IN = "/etc/ssh/sshd_config.d/00-a-colleague.conf"
MARK = "/tmp/audit-mark"
#: Where an audit could leave a trace, and nothing else of the lab writes meanwhile.
WATCHED = (
    "/etc",
    "/root",
    "/var/cache/apt",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/meshkeeper",
)


@pytest.fixture
def vps(mesh: Lab) -> Machine:
    return vps_machine(mesh.engine, mesh.plan.name("vps"))


@pytest.fixture
def broken(mesh: Lab, vps: Machine) -> Iterator[None]:
    """Four things, as hands at a keyboard leave them."""
    vps.check("systemd-run", "--unit=stray", "python3", "-m", "http.server", "9090")
    vps.check("chmod", "644", "/etc/shadow")
    vps.write(DROP_IN, b"PasswordAuthentication yes\n", 0o644)
    vps.check("systemctl", "reload", "ssh")
    vps.check("systemctl", "stop", "fail2ban")
    yield
    vps.check("systemctl", "stop", "stray")
    vps.check("rm", DROP_IN)
    meshkeeper(mesh.plan, "provision")


def audited(lab: Lab) -> tuple[dict[str, Any], int]:
    """Findings by item, and the command's exit code."""
    answer, status = ask_meshkeeper(lab.plan, "audit")
    (host,) = answer["report"]["hosts"]
    return {finding["item"]: finding for finding in host["findings"]}, status


def observed(lab: Lab) -> HostState:
    """Without what changes from one moment to the next."""
    state = inside(Target(lab.settings, lab.site, "vps")).host
    steady = {"clock": 0, "clock_offset": 0, "disk_free_bytes": 0}
    return state.model_copy(update={"machine": state.machine.model_copy(update=steady)})


def not_in_order(findings: dict[str, Any]) -> dict[str, str]:
    return {item: f["grade"] for item, f in findings.items() if f["grade"] != "in order"}


def test_a_site_that_was_set_up_by_us_is_in_order_also_from_outside(mesh: Lab) -> None:
    findings, status = audited(mesh)
    assert not_in_order(findings) == {}
    assert status == 0
    assert findings["outside.declared"]["state"] == "each answers: 80/tcp, 443/tcp"


def test_what_was_broken_by_hand_is_named_and_left_as_it_is(
    mesh: Lab, vps: Machine, broken: None
) -> None:
    before = observed(mesh)
    vps.check("touch", MARK)
    findings, status = audited(mesh)
    assert status == 1
    assert not_in_order(findings) == {
        "host.sshd": "to do",
        "host.fail2ban": "to do",
        "host.modes": "to do",
        "host.listeners": "to do",
        "host.bans": "could not be asked",
    }
    assert "passwordauthentication is yes now" in findings["host.sshd"]["state"]
    assert findings["host.fail2ban"]["state"] == "starts fail2ban.service"
    assert findings["host.modes"]["state"] == "/etc/shadow is 0644 root"
    assert "python3 listens on 9090/tcp (0.0.0.0)" in findings["host.listeners"]["state"]
    assert findings["host.modes"]["todo"].startswith("'meshkeeper provision': close /etc/shadow")
    assert vps.check("find", *WATCHED, "-newer", MARK) == ""
    assert observed(mesh) == before


def test_a_port_that_is_open_by_mistake_is_found_from_outside(mesh: Lab, vps: Machine) -> None:
    """A hole in UFW, and a listener behind it."""
    vps.check("systemd-run", "--unit=stray", "python3", "-m", "http.server", "6379")
    vps.check("ufw", "allow", "6379/tcp")
    try:
        findings, status = audited(mesh)
    finally:
        vps.check("ufw", "delete", "allow", "6379/tcp")
        vps.check("systemctl", "stop", "stray")
    assert status == 1
    assert findings["outside.closed"]["state"] == "open: 6379/tcp (Redis)"
    assert set(not_in_order(findings)) == {"host.listeners", "host.foreign-rules", "outside.closed"}
