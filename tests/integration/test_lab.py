"""The lab itself: a VPS as delivered, an internet around it, and nothing of it afterwards."""

import json
import re
import sys
from pathlib import Path

import pytest
from docker import DockerClient

from deployments.embedded.unit import render_unit
from deployments.lab.boot import Lab, boot
from deployments.lab.down import take_down
from deployments.lab.engine import ensure_network
from deployments.lab.homes import resident_part, trusted
from deployments.lab.plan import HOMES, PLACES, ROOT, LabPlan
from infra.access.host_keys import pin_host_key
from infra.access.login import Login
from infra.access.ssh import connect
from infra.errors import CouldNotRun


def started(lab: Lab) -> dict[str, str]:
    """When each part of the lab was started."""
    parts = [*PLACES, *HOMES, *(f"router-{resident}" for resident in HOMES)]
    containers = [lab.engine.containers.get(lab.plan.name(part)) for part in parts]
    return {container.id: container.attrs["State"]["StartedAt"] for container in containers}


def left_over(engine: DockerClient, prefix: str) -> list[str]:
    """Names of all that Docker holds with a prefix, by listing everything."""
    names = [container.name for container in engine.containers.list(all=True, ignore_removed=True)]
    names += [network.name for network in engine.networks.list()]
    names += [volume.name for volume in engine.volumes.list()]
    return [str(name) for name in names if str(name).startswith(f"{prefix}-")]


@pytest.fixture
def second_lab(engine: DockerClient, lab: Lab) -> Lab:
    """A plan beside the tests' lab, taken away by the test that boots it."""
    plan = LabPlan(
        prefix="mk-second",
        subnet="10.94",
        ui_port=4294,
        directory=ROOT / "build/second-lab",
    )
    take_down(engine, plan)
    return boot(engine, plan)


def test_the_owner_logs_in_as_root_by_key_on_the_host_key_that_the_provider_shows(
    lab: Lab, bare_host
) -> None:
    host = bare_host("login")
    login = Login(
        name="vps",
        address=host.address,
        user="root",
        known_hosts=host.ssh_key.with_name("known_hosts"),
        key_file=host.ssh_key,
    )
    pin_host_key(login, host.host_key)
    with connect(login) as session:
        assert session.check("look", "id -un").strip() == b"root"


def test_the_vps_is_delivered_bare(bare_host) -> None:
    machine = bare_host("bare").machine
    assert machine.check("systemctl", "is-system-running").strip() == "running"
    assert machine.run("sh", "-c", "command -v docker").status != 0
    assert machine.run("id", "linuxuser").status != 0
    assert "passwordauthentication yes" in machine.check("sshd", "-T")


def test_two_vps_have_different_host_keys(lab: Lab, bare_host) -> None:
    assert bare_host("other").host_key != lab.site.hosts["vps"].host_key


def test_the_vps_has_one_core_and_one_gigabyte(lab: Lab) -> None:
    limits = lab.vps.container.attrs["HostConfig"]
    assert limits["Memory"] == 1024**3
    assert limits["NanoCpus"] == 1_000_000_000


def test_the_vps_cannot_change_settings_of_the_whole_machine(lab: Lab) -> None:
    assert lab.vps.run("sysctl", "-w", "vm.swappiness=61").status != 0
    assert lab.vps.run("sysctl", "-w", "kernel.panic=1").status != 0
    assert lab.vps.run("sysctl", "-w", "net.ipv4.ip_forward=1").status == 0
    now = lab.vps.check("date", "--iso-8601=ns").strip()
    assert "Operation not permitted" in lab.vps.run("date", "--set", now).stderr


def test_the_machines_global_settings_are_as_before(
    lab: Lab, settings_before, read_settings
) -> None:
    assert read_settings() == settings_before


def test_systemd_takes_the_unit_that_starts_the_control_plane_at_boot(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab's VPS has a systemd; its Python stands in for the one of our environment."""
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    unit = "/root/meshkeeper.service"
    lab.vps.write(unit, render_unit(lab.settings, "/usr/bin:/bin").encode(), 0o644)
    judged = lab.vps.run("systemd-analyze", "verify", unit)
    assert (judged.status, judged.stderr) == (0, "")


def test_the_observer_finds_the_sites_names_by_dns_alone(lab: Lab) -> None:
    for name in (lab.site.domain, lab.site.headscale_name, f"status.{lab.site.domain}"):
        assert lab.observer.check("dig", "+short", name).split() == [lab.plan.place("vps")]
    assert lab.observer.check("dig", "+short", f"nobody.{lab.site.domain}") == ""
    assert lab.site.domain not in lab.observer.check("cat", "/etc/hosts")


def test_the_vps_finds_names_outside_the_lab(lab: Lab) -> None:
    configured = lab.vps.check("sh", "-c", "apt-get indextargets --format '$(SITE)' | head -1")
    host = configured.strip().split("/")[2]
    assert lab.vps.check("getent", "hosts", host)


def test_the_observer_gets_the_public_relays_map_over_a_trusted_connection(lab: Lab) -> None:
    (url,) = lab.site.stacks.headscale.derp.maps
    (region,) = json.loads(lab.observer.check("curl", "-sSf", url))["Regions"].values()
    (node,) = region["Nodes"]
    assert lab.observer.check("curl", "-sSf", f"https://{node['HostName']}/derp/probe") == ""


def test_the_observer_shares_no_network_with_the_site(lab: Lab) -> None:
    def networks(name: str) -> set[str]:
        container = lab.engine.containers.get(lab.plan.name(name))
        return set(container.attrs["NetworkSettings"]["Networks"])

    assert not networks("observer") & networks("vps")
    assert not networks("client-a") & networks("client-b")


def test_homes_reach_the_internet_but_not_each_other(lab: Lab) -> None:
    there = ("ping", "-c", "1", "-W", "2")
    assert lab.client_a.run(*there, lab.plan.place("vps")).status == 0
    assert lab.client_a.run(*there, lab.client_b.address).status != 0
    assert lab.observer.run(*there, lab.client_a.address).status != 0


def test_a_second_boot_changes_nothing(lab: Lab) -> None:
    files = {path: path.stat().st_mtime_ns for path in (lab.plan.site_file, lab.plan.ssh_key)}
    before = started(lab)
    boot(lab.engine, lab.plan)
    assert started(lab) == before
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_taken_addresses_are_one_sentence(lab: Lab) -> None:
    subnet = lab.plan.address("internet", 0) + "/24"
    name = lab.plan.name("clash")
    said = re.escape(f"{name} ({subnet}) could not be made")
    with pytest.raises(CouldNotRun, match=said):
        ensure_network(lab.engine, name, subnet, lab.plan.directory)


def test_killed_parts_come_back_and_new_roots_are_trusted_beside_the_old(second_lab: Lab) -> None:
    old = second_lab.plan.roots.read_text()
    for part in ("acme", "client-a", "router-client-b"):
        second_lab.engine.containers.get(second_lab.plan.name(part)).remove(force=True)
    again = boot(second_lab.engine, second_lab.plan)
    assert again.plan.roots.read_text().startswith(old)
    assert again.plan.roots.read_text() != old
    for resident in (again.client_a, again.client_b, again.observer):
        bundle = resident.check("cat", "/etc/ssl/certs/ca-certificates.crt")
        roots = trusted(again.plan.roots)
        assert len(roots) == 3
        assert all(root.content.decode().strip() in bundle for root in roots)
    assert again.client_b.run("ping", "-c", "1", "-W", "2", again.plan.place("vps")).status == 0
    take_down(again.engine, again.plan)


def test_a_part_that_a_killed_boot_left_without_its_files_is_made_anew(second_lab: Lab) -> None:
    part = resident_part(second_lab.plan, "observer")
    second_lab.observer.container.remove(force=True)
    second_lab.engine.containers.create(
        part.image, list(part.command), name=part.name, network=part.legs[0].network
    )
    again = boot(second_lab.engine, second_lab.plan)
    assert again.observer.check("dig", "+short", again.site.domain).strip() == again.vps.address
    take_down(again.engine, again.plan)


def test_a_lab_without_its_vps_is_made_anew(second_lab: Lab) -> None:
    old = second_lab.site
    (second_lab.plan.state / "of-the-old-vps").touch()
    second_lab.vps.container.remove(force=True)
    again = boot(second_lab.engine, second_lab.plan)
    assert not (again.plan.state / "of-the-old-vps").exists()
    assert again.site.hosts["vps"].host_key != old.hosts["vps"].host_key
    take_down(again.engine, again.plan)


def test_down_leaves_nothing_of_this_lab_and_all_of_the_other(lab: Lab, second_lab: Lab) -> None:
    others = started(lab)
    take_down(second_lab.engine, second_lab.plan)
    assert left_over(second_lab.engine, second_lab.plan.prefix) == []
    assert not second_lab.plan.directory.exists()
    assert started(lab) == others


def test_down_takes_away_the_lab_of_another_checkout_with_its_files(
    second_lab: Lab, tmp_path: Path
) -> None:
    here = second_lab.plan.model_copy(update={"directory": tmp_path / "build/second-lab"})
    take_down(second_lab.engine, here)
    assert left_over(second_lab.engine, here.prefix) == []
    assert not second_lab.plan.directory.exists()
