"""A host's lock, on a host: nobody changes it besides its holder, and a dead holder's is free soon."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper
from deployments.lab.link import free_port
from deployments.lab.plan import LabPlan
from deployments.lab.site import write_site
from deployments.lab.vps import Delivered
from infra.errors import CouldNotRun, HostLocked, LockLost
from infra.host import lock
from infra.host.apply import apply_change
from infra.host.lock_keeper import kept
from infra.host.provision import Target, after, look, way_in
from infra.model.lock import Claim
from tasks.lock import way_in_later
from tests.integration.hosts import LEASE, Ordered, ordered, within

#: Seconds; a test on a busy machine may take longer than the short one.
LONG = 600


@pytest.fixture(scope="module")
def bare(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ordered]:
    with ordered(lab, tmp_path_factory.mktemp("locked"), "locked") as host:
        # Asked for the admin, who is not there yet, sshd would penalise us.
        yield host._replace(target=host.target._replace(user="root"))


@pytest.fixture(scope="module")
def site(lab: Lab, bare: Ordered) -> LabPlan:
    """The same host as the vps of a site that the command line knows."""
    plan = lab.plan.model_copy(update={"directory": bare.folder, "ui_port": free_port()})
    vps = bare.target.site.hosts["vps"]
    write_site(plan, Delivered(address=vps.address, fingerprint=vps.host_key))
    return plan


def claimed(target: Target, run: str = "quick-fox", lease: int = LONG) -> tuple[Target, Claim]:
    """The target with the right to change it."""
    claim = lock.new_claim("provision vps", run, lease)
    with way_in(target) as session:
        lock.take(session, claim)
    return target._replace(lock_token=claim.token), claim


def unlock(target: Target) -> None:
    with way_in(target) as session:
        lock.release(session, lock.shown(session).token or "")


def test_each_way_to_send_a_command_is_refused_once_the_lock_is_lost(bare: Ordered) -> None:
    held, _ = claimed(bare.target)
    with way_in(held) as session:
        assert session.check("echo", session.as_root("cat"), stdin=b"input") == b"input"
        assert session.send("send", session.as_root("cat"), [b"a", b"b"]) == b"ab"
        unlock(bare.target)
        command = session.as_root("touch /root/touched")
        for send in (
            lambda: session.run(command),
            lambda: session.check("touch", command),
            lambda: session.send("touch", command, iter([b"x" * 1_000_000] * 20)),
            lambda: list(session.receive("touch", command, 1000)),
        ):
            with pytest.raises(LockLost, match=r"vps: (touch|sh): .*somebody removed it"):
                send()
        claimed(bare.target, "late-owl")
        with pytest.raises(LockLost, match=r"it is now held by .*run late-owl"):
            session.run(command)
    unlock(bare.target)
    assert bare.machine.run("test", "-e", "/root/touched").status == 1


def test_a_boot_ends_a_lock_and_the_right_of_its_holder(bare: Ordered) -> None:
    held, _ = claimed(bare.target)
    bare.machine.container.kill()
    bare.machine.container.start()
    assert within(60, lambda: free(bare.target))
    with pytest.raises(LockLost, match="the host booted anew"), way_in(held) as session:
        session.run(session.as_root("true"))


def free(target: Target) -> bool:
    """By a login that may have to wait for sshd."""
    try:
        with way_in(target) as session:
            return lock.shown(session).token is None
    except CouldNotRun:
        time.sleep(2)
        return False


def test_what_a_killed_run_left_goes_by_itself_and_what_it_began_is_waited_for(
    bare: Ordered,
) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(bare.target, theirs))
    process.start()
    assert ours.poll(60)
    time.sleep(LEASE + 1)
    with pytest.raises(HostLocked, match=r"vps is locked by .* \(provision vps"):
        claimed(bare.target)

    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(HostLocked, match=r"vps is locked by .* \(provision vps"):
        claimed(bare.target)
    time.sleep(LEASE)
    with pytest.raises(HostLocked, match=r"still at work there: sleep \(process \d+\)"):
        claimed(bare.target)
    bare.machine.check("pkill", "-x", "sleep")
    assert within(5, lambda: can_be_taken(bare.target))
    unlock(bare.target)


def hold(target: Target, told: Connection) -> None:
    """A run that changes something for a long time; in a process of its own."""
    held, claim = claimed(target, lease=LEASE)
    with kept(lambda: way_in(target), claim), way_in(held) as session:
        told.send("begun")
        session.run(session.as_root("sleep 300"), timeout=400)


def can_be_taken(target: Target) -> bool:
    try:
        claimed(target)
    except HostLocked:
        return False
    return True


def test_a_run_of_the_command_line_is_told_who_holds_it_and_touches_nothing(
    bare: Ordered, site: LabPlan
) -> None:
    claimed(bare.target)
    answer, status = ask_meshkeeper(site, "provision")
    assert status == CouldNotRun.exit_code, answer
    assert "vps is locked by" in answer["message"]
    assert "(provision vps, run quick-fox)" in answer["message"]
    assert bare.machine.run("id", "linuxuser").status != 0
    unlock(bare.target)


def test_the_lock_outlives_its_runs_change_from_root_to_the_admin(bare: Ordered) -> None:
    """Root is shut out, then the lock's connection breaks: it is renewed as the admin."""
    root = bare.target
    target, claim = claimed(root, lease=3 * LEASE)
    with kept(lambda: way_in_later(root), claim):
        for change in look(target).plan.changes:
            with way_in(target) as session:
                apply_change(session, change, target.admin)
            target = after(target, change)
            if change.item == "host.sshd":
                break
        assert target.user == "linuxuser"
        # All sessions of root's, ours among them; not the listening sshd.
        bare.machine.check("pkill", "-f", "[s]shd-session: root|[s]shd: root")
        time.sleep(4 * LEASE)
        with way_in(target) as session:
            assert session.check("change", session.as_root("id -u")) == b"0\n"
    with way_in(target) as session:
        assert lock.shown(session).token is None


def test_unlock_shows_the_holder_and_needs_a_yes(bare: Ordered, site: LabPlan) -> None:
    """Asked for as the admin, whom the host knows by now: refused logins would add up."""
    admin = bare.target._replace(user="linuxuser")
    answer, status = ask_meshkeeper(site, "unlock")
    assert (status, answer["holder"], answer["removed"]) == (0, None, False)
    _, claim = claimed(admin)
    answer, status = ask_meshkeeper(site, "unlock")
    assert (status, answer["error"]) == (2, "BadInput")
    assert "is left as it is" in answer["message"]
    with way_in(admin) as session:
        assert lock.shown(session).token == claim.token
    answer, status = ask_meshkeeper(site, "unlock", "--yes")
    assert (status, answer["removed"]) == (0, True)
    assert answer["holder"]["run"] == "quick-fox"
    with way_in(admin) as session:
        assert lock.shown(session).token is None
