"""Hosts that are not as one likes to find them: UFW there by half, apt broken off or without its
mirror, a full disk. All on one VPS, which a run brings into order at the end."""

from collections.abc import Iterator
from threading import Thread

import pytest

from deployments.lab.boot import Lab
from deployments.lab.keys import ensure_ssh_key
from infra.access.login import first_login
from infra.errors import StepFailed
from infra.host.apply import apply_change
from infra.host.guard import guarded
from infra.host.provision import Target, look, require_in_order, way_in
from infra.model.host_change import HostChange
from tests.integration.hosts import Ordered, change_next, ordered

SOURCES = "/etc/apt/sources.list"
ARCHIVES = "/var/cache/apt/archives"
PIN = "/etc/apt/preferences.d/unwanted"
DEAD_MIRROR = b"deb http://127.0.0.1:9/debian trixie main\n"
NEVER_UFW = b"Package: ufw\nPin: release *\nPin-Priority: -1\n"
#: While dpkg has something in its journal, it has not ended.
KILL_DPKG = """
until ls /var/lib/dpkg/updates/0* >/dev/null 2>&1; do sleep 0.005; done
pkill -9 -x dpkg; pkill -9 -x apt-get
"""
#: What a provisioning writes to, on a disk of 64 MB.
SMALL_DISK = """set -e
mkdir -p /srv/small /var/lib/meshkeeper
mount -t tmpfs -o size=64m small /srv/small
for place in etc home var/lib/dpkg var/lib/meshkeeper; do
    mkdir -p /srv/small/$place
    cp -a /$place/. /srv/small/$place
    mount --bind /srv/small/$place /$place
done
# It has mounts of its own, from before.
systemctl restart systemd-logind
"""
FILL = "dd if=/dev/zero of=/srv/small/fill bs=4k 2>/dev/null"
MAKE_ROOM = ("rm", "-f", "/srv/small/fill")


@pytest.fixture(scope="module")
def unready(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ordered]:
    folder = tmp_path_factory.mktemp("unready")
    backup_keys = (ensure_ssh_key(folder / "backup_ed25519"),)
    with ordered(lab, folder, "unready", backup_keys=backup_keys, timezone="Europe/Berlin") as bare:
        # Asked for the admin, who is not there yet, sshd would penalise us.
        yield bare._replace(target=bare.target._replace(user="root"))


@pytest.mark.parametrize(
    ("there", "missing"), [("/etc/ufw", "/etc/default/ufw"), ("/etc/default/ufw", "/etc/ufw")]
)
def test_the_guard_arms_and_reverts_where_ufw_is_there_by_half(unready, there, missing) -> None:
    """OpenSSH's package brings an /etc/ufw to each host."""
    vps, root = unready.machine, first_login(*unready.target[:3])
    vps.check("mkdir", "-p", there)
    vps.check("rm", "-rf", missing)
    failed = pytest.raises(StepFailed, match="vps: half")
    with way_in(unready.target) as session:
        with failed, guarded(session, root, "host.x"):
            session.check("half", "sh -c 'rm -r /etc/ssh/sshd_config; false'")
        vps.check("test", "-e", "/etc/ssh/sshd_config")
        with guarded(session, root, "host.x"):
            pass
    vps.check("rm", "-rf", there)


def test_a_dead_mirror_is_told_by_apts_own_words(unready) -> None:
    vps, target = unready.machine, unready.target
    sources = vps.check("cat", SOURCES)
    vps.check("sh", "-c", f"mv {ARCHIVES} {ARCHIVES}.kept; rm -rf /var/lib/apt/lists/*")
    vps.write(SOURCES, DEAD_MIRROR, 0o644)
    error = failing(target, look(target).plan.changes[0])
    vps.write(SOURCES, sources.encode(), 0o644)
    vps.check("sh", "-c", f"rm -rf {ARCHIVES}; mv {ARCHIVES}.kept {ARCHIVES}")
    assert error.message.startswith("vps: host.packages failed with exit status")
    assert "127.0.0.1:9" in error.message
    assert "do the mirrors in its /etc/apt answer?" in error.hint
    assert error.hint.endswith("Then provision again: it goes on where it ended.")


def test_a_package_that_cannot_be_had_is_told_by_apts_own_words(unready) -> None:
    vps, target = unready.machine, unready.target
    vps.write(PIN, NEVER_UFW, 0o644)
    error = failing(target, look(target).plan.changes[0])
    vps.check("rm", PIN)
    assert "Package 'ufw' has no installation candidate" in error.message
    assert error.hint == "Mend that on the host. Then provision again: it goes on where it ended."


def test_an_installation_that_was_killed_is_finished_by_the_next_run(unready) -> None:
    vps, target = unready.machine, unready.target
    killer = Thread(target=vps.check, args=("sh", "-c", KILL_DPKG))
    killer.start()
    failing(target, look(target).plan.changes[0])
    killer.join()
    assert "dpkg was interrupted" in vps.run("apt-get", "check").stderr
    planned = change_next(target)
    assert planned[0] == "host.dpkg"
    vps.check("apt-get", "check")
    assert look(target).plan.changes[0].item != "host.dpkg"


def test_a_full_disk_stops_each_item_and_locks_nobody_out(unready) -> None:
    vps, target = unready.machine, unready.target
    vps.check("apt-get", "-qq", "purge", "-y", "ufw")
    vps.check("sh", "-c", SMALL_DISK)
    bare = ("host.packages", "host.timezone", "host.admin")
    stopped_by_a_full_disk(unready, bare)
    while change_next(target)[0] != bare[-1]:
        pass
    unready = unready._replace(target=target._replace(user="linuxuser"))
    target = unready.target
    left = tuple(change.item for change in look(target).plan.changes)
    assert left == tuple(
        f"host.{item}"
        for item in (
            "backup", "sshd", "firewall", "fail2ban", "upgrades", "journald", "sysctl", "docker",
        )
    )  # fmt: skip
    stopped_by_a_full_disk(unready, left)
    while change_next(target):
        pass
    require_in_order(target)


@pytest.mark.parametrize("reserve", ["kept", "lost"])
def test_a_change_is_taken_back_although_the_disk_is_full_meanwhile(unready, reserve) -> None:
    """The file that the change has made smaller needs more room than there is: the reserve has it.

    Where that was lost, the change is taken back as soon as there is room.
    """
    vps, target = unready.machine, unready.target._replace(user="linuxuser")
    vps.check("cp", "/etc/ssh/moduli", "/tmp/moduli")
    smaller = f": >/etc/ssh/moduli; {FILL}; false"
    if reserve == "lost":
        room = f"systemd-run -q --on-active=3 --timer-property=AccuracySec=1s {' '.join(MAKE_ROOM)}"
        smaller = f"{room}; rm /var/lib/meshkeeper/guard/reserve; {smaller}"
    failed = pytest.raises(StepFailed, match="vps: smaller")
    with way_in(target) as session, failed, guarded(session, target.admin, "host.sshd"):
        session.check("smaller", session.as_root("sh -s"), stdin=smaller.encode())
    vps.check("cmp", "/etc/ssh/moduli", "/tmp/moduli")
    vps.check(*MAKE_ROOM)
    require_in_order(target)


def stopped_by_a_full_disk(unready: Ordered, items: tuple[str, ...]) -> None:
    """Each of these fails for that reason, and says so."""
    changes = {change.item: change for change in look(unready.target).plan.changes}
    unready.machine.run("sh", "-c", FILL)
    for item in items:
        error = failing(unready.target, changes[item])
        assert error.message.startswith(f"vps: {item}")
        assert "No space left on" in error.message
        assert error.hint.startswith("Its disk is full")
    unready.machine.check(*MAKE_ROOM)


def failing(target: Target, change: HostChange) -> StepFailed:
    """What is said of a change that can't be made; the host can be reached afterwards."""
    with way_in(target) as session, pytest.raises(StepFailed) as failed:
        apply_change(session, change, target.admin)
    look(target)
    return failed.value
