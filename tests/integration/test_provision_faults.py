"""Runs that die and connections that break: the host stays reachable, the next run finishes."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper
from deployments.lab.keys import ensure_ssh_key
from deployments.lab.link import Link, free_port, link_to
from deployments.lab.site import write_site
from deployments.lab.vps import HOST_KEY, Delivered
from infra.access import silence, ssh
from infra.access.host_keys import pin_host_key
from infra.errors import CouldNotRun, Failed, StepFailed
from infra.host import apply
from infra.host.apply import apply_change
from infra.host.provision import Target, look, require_in_order, way_in
from infra.host.scripts import script_of
from infra.model.host_change import HostChange
from infra.model.site import Host
from tests.integration.dying import MOMENTS, REVERT, provision, revert_soon
from tests.integration.hosts import connections, target_for, within

#: Seconds into an item: after the script was sent, while the host is at work.
IN_THE_MIDDLE = 0.4
#: Seconds for which the host, here, keeps its answer to itself: no item ends before the fault.
ANSWER_AFTER = 2
#: Seconds after which silence counts, here; and those in which it is noticed, whatever the item.
SILENCE = 4
LONGEST = 60

Fault = Callable[[Link], None]


class Distant(NamedTuple):
    """A bare host behind Toxiproxy."""

    link: Link
    target: Target


@pytest.fixture
def distant(lab: Lab, bare_host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distant]:
    revert_soon(monkeypatch.setattr)
    monkeypatch.setattr(silence, "ASK_AFTER", 1)
    monkeypatch.setattr(silence, "END_AFTER", SILENCE)
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT", SILENCE)
    monkeypatch.setattr(apply, "script_of", lambda c: f"{script_of(c)}\nsleep {ANSWER_AFTER}\n")
    delivered = bare_host("distant")
    with link_to(f"{delivered.address}:22") as link:
        host = Host(
            address="127.0.0.1",
            port=link.port,
            host_key=delivered.host_key,
            admin_keys=(ensure_ssh_key(delivered.ssh_key),),
        )
        target = target_for(lab, host, delivered.ssh_key.parent)
        pin_host_key(target.admin, host.host_key)
        yield Distant(link, target)


@pytest.fixture
def bare(lab: Lab, bare_host) -> Target:
    delivered = bare_host("mortal")
    host = Host(
        address=delivered.address,
        host_key=delivered.host_key,
        admin_keys=(ensure_ssh_key(delivered.ssh_key),),
        backup_keys=(ensure_ssh_key(delivered.ssh_key.with_name("backup_ed25519")),),
        timezone="Europe/Berlin",
    )
    target = target_for(lab, host, delivered.ssh_key.parent)
    pin_host_key(target.admin, host.host_key)
    return target


def test_a_run_killed_anywhere_is_finished_by_the_next(bare: Target) -> None:
    """After each item of the plan, and inside each that the host would take back."""
    planned = items(bare)
    guarded = []
    for done, item in enumerate(planned, 1):
        for moment in MOMENTS:
            assert provision(bare, moment) == -signal.SIGKILL
            if items(bare) == planned[done:]:
                break
            assert items(bare) == planned[done - 1 :], "it was taken back, and is planned anew"
            guarded.append((item, moment))
        else:
            pytest.fail(f"{item} was killed after it was done, and is planned again")
    assert guarded == [
        (item, moment)
        for item in ("host.backup", "host.sshd", "host.firewall")
        for moment in ("armed", "changed")
    ]
    assert provision(bare) == 0
    time.sleep(REVERT)  # whatever would be taken back is by then
    require_in_order(bare)


def test_a_refused_key_and_a_changed_host_key_end_a_run_after_a_handful_of_connections(
    lab: Lab, bare_host, tmp_path: Path
) -> None:
    """By the command line, with all the retries that a flow has: sshd penalises more than a few."""
    delivered = bare_host("refusing")
    vps = delivered.machine
    vps.write("/etc/ssh/sshd_config.d/60-verbose.conf", b"LogLevel VERBOSE\n")
    vps.check("systemctl", "reload", "ssh")
    plan = lab.plan.model_copy(update={"directory": tmp_path / "site", "ui_port": free_port()})
    plan.directory.mkdir()
    write_site(plan, Delivered(address=delivered.address, fingerprint=delivered.host_key))

    answer, status = ask_meshkeeper(plan, "provision")
    assert status == CouldNotRun.exit_code
    assert f"vps (root@{delivered.address}:22) does not accept our key" in answer["message"]
    assert "Point MESHKEEPER_SSH_KEY to a key" in answer["message"]
    # One for the host's key, one as the admin, one as root.
    assert connections(vps) == 3

    vps.check(
        "sh", "-c", f"yes | ssh-keygen -qt ed25519 -N '' -f {HOST_KEY} && systemctl restart ssh"
    )
    answer, status = ask_meshkeeper(plan, "provision")
    assert status == CouldNotRun.exit_code
    assert f"vps (linuxuser@{delivered.address}:22) shows the host key" in answer["message"]
    assert f"expected is {delivered.host_key}" in answer["message"]
    assert "installed anew, or somebody stands between" in answer["message"]
    assert "Compare with the fingerprint in the provider's console" in answer["message"]
    assert connections(vps) == 4


def items(target: Target) -> list[str]:
    """What is planned now, as seen by a new login; sshd may just be starting again, taken back."""
    return [change.item for change in reached(target).changes]


def slow(link: Link) -> None:
    """As from the other side of the world, over a modem."""
    link.delay(250)
    link.narrow(40)


@pytest.mark.parametrize("fault", [Link.cut, Link.silence, slow])
def test_a_connection_that_fails_in_each_item_loses_nothing(distant: Distant, fault: Fault) -> None:
    """The items are those of the plan, each hit once; what it left is planned and made anew."""
    hit: list[str] = []
    complaints: list[str] = []
    while (plan := reached(distant.target)).changes:
        change = plan.changes[0]
        if change.item in hit:
            with way_in(distant.target) as session:
                apply_change(session, change, distant.target.admin)
            continue
        hit.append(change.item)
        complaints += failing(distant, change, fault)
    assert len(hit) == 9
    assert len(complaints) == (0 if fault is slow else len(hit))
    assert [text for text in complaints if not text.startswith("vps: host.")] == []
    if fault is Link.silence:
        assert f"went silent for {SILENCE} s" in " ".join(complaints)
    require_in_order(distant.target)


def test_a_distant_host_is_planned_in_one_round_trip(distant: Distant) -> None:
    distant.link.delay(150)
    assert look(distant.target).round_trips == 1


def failing(distant: Distant, change: HostChange, fault: Fault) -> list[str]:
    """Make `change` over a link that fails meanwhile; what was said of that, if anything."""
    failure = threading.Timer(IN_THE_MIDDLE, fault, (distant.link,))
    began = time.monotonic()
    try:
        with way_in(distant.target) as session:
            failure.start()
            apply_change(session, change, distant.target.admin)
    except (CouldNotRun, Failed) as error:
        return [error.message]
    finally:
        failure.join()
        distant.link.mend()
        assert time.monotonic() - began < LONGEST
    return []


def reached(target: Target):
    """The plan, from a new connection: once what the host had to take back is taken back."""
    plans = []

    def asked() -> bool:
        try:
            plans.append(look(target).plan)
        except (CouldNotRun, StepFailed):
            time.sleep(2)  # no hammering: sshd penalises that
            return False
        return True

    assert within(3 * REVERT, asked), "the host can't be reached any more"
    return plans[-1]
