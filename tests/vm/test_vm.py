"""What only a kernel of its own can show: swap, the clock, its settings, and what a reboot leaves."""

import time

import pytest

from deployments.lab.vm import CLOCK_AHEAD
from infra.errors import CouldNotRun, StepFailed
from infra.host.apply import apply_change
from infra.host.guard import guarded
from infra.host.provision import Target, look, require_in_order, way_in
from infra.planning.host_kernel import SETTINGS, SWAP_FILE, SWAP_UNIT
from tests.vm.conftest import DECLARED, UNDECLARED, Host, Provisioned

MIB = 1024 * 1024


def wanting(target: Target, swap_mb: int | None) -> Target:
    """The same site with another wish for its swap."""
    host = target.site.hosts["vps"].model_copy(update={"swap_mb": swap_mb})
    return target._replace(site=target.site.model_copy(update={"hosts": {"vps": host}}))


def change_all(target: Target) -> tuple[str, ...]:
    changes = look(target).plan.changes
    for change in changes:
        with way_in(target) as session:
            apply_change(session, change, target.admin)
    require_in_order(target)
    return tuple(change.item for change in changes)


def swapped_to(host: Host) -> dict[str, int]:
    """The kernel's own list: file to MiB, its header counted."""
    rows = [line.split() for line in host.run("cat /proc/swaps").splitlines()[1:]]
    return {row[0]: (int(row[2]) + 4) // 1024 for row in rows}


def test_a_machine_of_its_own_gets_the_whole_list(provisioned: Provisioned) -> None:
    items = tuple(change.item for change in provisioned.before.plan.changes)
    assert items == tuple(
        f"host.{item}"
        for item in (
            "packages", "admin", "sshd", "firewall", "fail2ban", "upgrades",
            "journald", "sysctl", "kernel", "time", "swap", "docker",
        )
    )  # fmt: skip
    assert [note for note in provisioned.before.plan.notes if "left out" in note] == []
    assert provisioned.before.machine.clock_offset > CLOCK_AHEAD.total_seconds() / 2


def test_it_is_in_order_before_its_reboot(provisioned: Provisioned) -> None:
    assert provisioned.afterwards.plan.describe() == "vps: in order"
    assert provisioned.afterwards.round_trips == 1


def test_it_is_in_order_after_its_reboot(rebooted: Host) -> None:
    outlook = require_in_order(rebooted.target)
    # The one port that the test itself has Docker publish, and the site does not declare.
    assert [f" {UNDECLARED}/tcp" in note for note in outlook.plan.notes] == [True]
    assert outlook.round_trips == 1
    assert outlook.machine.virtualisation == "vm"


def test_it_really_swaps_after_its_reboot(rebooted: Host) -> None:
    assert swapped_to(rebooted) == {SWAP_FILE: 1024}
    assert rebooted.run(f"stat -c '%a %U' {SWAP_FILE}") == "600 root\n"


def test_the_kernel_keeps_its_settings_over_the_reboot(rebooted: Host) -> None:
    paths = [f"/proc/sys/{key.replace('.', '/')}" for key in SETTINGS]
    assert rebooted.run(f"cat {' '.join(paths)}").split() == list(SETTINGS.values())


def test_strangers_do_not_see_the_kernel_messages_or_addresses(rebooted: Host) -> None:
    assert "Operation not permitted" in rebooted.run("setpriv --reuid 65534 dmesg 2>&1 || true")
    symbols = rebooted.run("setpriv --reuid 65534 head -n 1 /proc/kallsyms")
    assert symbols.split()[0] == "0" * 16


def test_the_clock_was_set_by_a_time_server(rebooted: Host) -> None:
    assert abs(look(rebooted.target).machine.clock_offset) < 5
    assert "yes" in rebooted.run("timedatectl show -p NTPSynchronized --value")


def test_the_firewall_is_live_after_the_reboot(rebooted: Host) -> None:
    for tables in ("iptables", "ip6tables"):
        assert "-P INPUT DROP" in rebooted.run(f"{tables} -S INPUT")


def test_docker_is_up_after_the_reboot_on_control_groups_of_version_2(rebooted: Host) -> None:
    assert rebooted.run("docker info --format '{{.CgroupVersion}}'") == "2\n"
    names = rebooted.run("docker ps --format '{{.Names}}'").split()
    assert sorted(names) == ["declared", "undeclared"]


def test_only_the_declared_port_of_a_container_answers_after_the_reboot(rebooted: Host) -> None:
    assert rebooted.answers(DECLARED)
    assert not rebooted.answers(UNDECLARED)
    # The probe can tell: without our rules it gets through.
    rebooted.run("iptables -I DOCKER-USER -j RETURN")
    assert rebooted.answers(UNDECLARED)
    rebooted.run("iptables -D DOCKER-USER -j RETURN")
    assert not rebooted.answers(UNDECLARED)


def test_a_swap_file_that_a_killed_run_left_half_written_is_finished(rebooted: Host) -> None:
    rebooted.run(
        f"systemctl stop {SWAP_UNIT.rpartition('/')[2]}\n"
        f"fallocate -l 100M {SWAP_FILE}.new\ntruncate -s 5M {SWAP_FILE}"
    )
    assert swapped_to(rebooted) == {}
    assert change_all(rebooted.target) == ("host.swap",)
    assert swapped_to(rebooted) == {SWAP_FILE: 1024}
    assert rebooted.run(f"ls {SWAP_FILE}*").split() == [SWAP_FILE]


def test_a_damaged_swap_file_is_made_anew(rebooted: Host) -> None:
    rebooted.run(
        f"systemctl stop {SWAP_UNIT.rpartition('/')[2]}\n"
        f"dd if=/dev/zero of={SWAP_FILE} bs=4096 count=1 conv=notrunc 2>/dev/null"
    )
    assert change_all(rebooted.target) == ("host.swap",)
    assert swapped_to(rebooted) == {SWAP_FILE: 1024}


def test_swap_follows_the_site_file(rebooted: Host) -> None:
    for size, active in ((256, {SWAP_FILE: 256}), (None, {}), (1024, {SWAP_FILE: 1024})):
        assert change_all(wanting(rebooted.target, size)) == ("host.swap",)
        assert swapped_to(rebooted) == active
        if size is None:
            assert rebooted.run(f"ls {SWAP_FILE} {SWAP_UNIT} 2>/dev/null || true") == ""


def test_a_host_whose_power_fails_in_that_minute_takes_the_change_back(rebooted: Host) -> None:
    """Hard: nothing is written to the disk that was not already there."""
    target = rebooted.target
    lost = pytest.raises(KeyboardInterrupt)
    with way_in(target) as session, lost, guarded(session, target.admin, "host.sshd", 3600):
        session.check("open", session.as_root("rm /etc/ssh/sshd_config.d/00-meshkeeper.conf"))
        session.check("sync", session.as_root("sync"))
        raise KeyboardInterrupt
    # A look would wait for the host to take it back.
    rebooted.run("test ! -e /etc/ssh/sshd_config.d/00-meshkeeper.conf")
    rebooted.reboot("sleep 1; echo b >/proc/sysrq-trigger")
    for _ in range(20):
        try:
            require_in_order(target)
            return
        except (CouldNotRun, StepFailed):
            time.sleep(3)
    require_in_order(target)
