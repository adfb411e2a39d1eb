"""Rollouts that die, are cut off, find no room, or lose their host: people see the old or the new.

Requests from the observer and traffic between two clients are counted during all of it.
"""

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from deployments.lab.join import is_joined
from deployments.lab.witnesses import device, requests
from infra.images import ship
from infra.rollout import apply
from tests.integration.dying import Steps, just_before, roll_out_here, rollout, succeeded
from tests.integration.hosts import within
from tests.integration.other_builds import NAME, other_builds
from tests.integration.rolling import (
    data_on_host,
    keys_on_host,
    kinds,
    roll_out,
    serves,
    site_changed,
    with_memory,
)
from tests.integration.small_disk import small_disk

#: sshd's processes for the admin's logins; never the one that listens.
SESSIONS = "[s]shd-session: linuxuser"
#: What tells of a full disk: sqlite's word, everybody's, and ours.
NO_ROOM = r"disk is full|[Nn]o space left on device|of disk left, and a rollout needs"


def health(lab: Lab) -> str:
    return f"{lab.site.server_url}/health"


def smaller(values: dict[str, Any]) -> None:
    """A change that replaces headscale."""
    values["stacks"]["headscale"]["memory_mb"] = 240


def test_a_rollout_killed_after_any_step_is_finished_by_the_next_and_nobody_notices(
    mesh: Lab, tmp_path: Path
) -> None:
    """The steps are those that a rollout of the same change goes through undisturbed."""
    log, keys = tmp_path / "steps", keys_on_host(mesh)
    site_file, before = mesh.plan.site_file, mesh.plan.site_file.read_text()
    try:
        with_memory(mesh, 240)
        assert rollout(site_file, log) == 0
        steps = log.read_text().split()
        assert {"write_files", "start", "gate_on_host", "gate_outside", "finish"} <= set(steps)
        with requests(mesh, health(mesh)) as asked, device(mesh) as client:
            for number in range(1, len(steps)):
                with_memory(mesh, 240 + number)
                assert rollout(site_file, log, number) == -signal.SIGKILL
                assert log.read_text().split() == steps[:number]
                assert rollout(site_file, log) == 0, log.read_text()
        assert asked.failed == {}
        assert set(client.states) == {"Running"}
        assert keys_on_host(mesh) == keys
        assert not meshkeeper(mesh.plan, "plan")["changes"]
    finally:
        site_file.write_text(before)
        roll_out(mesh)


def test_of_two_rollouts_at_once_one_works_and_the_other_tells_who_does(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    other = just_before(
        "start", lambda: answers.append(ask_meshkeeper(mesh.plan, "rollout", "--yes"))
    )
    with site_changed(mesh, smaller), requests(mesh, health(mesh)) as asked:
        report = succeeded(roll_out_here(mesh.plan.site_file, other, monkeypatch.setattr))
        assert kinds(report.model_dump()) == ["headscale.write", "headscale.start"]
        ((answer, status),) = answers
        assert status == 3, answer
        holder = r"vps is locked by \S+@\S+ since 20.* UTC \(rollout of headscale, caddy\)"
        assert re.search(holder, answer["message"])
        assert "`meshkeeper unlock`" in answer["message"]
        assert kinds(roll_out(mesh)) == []
    assert asked.failed == {}


def test_a_connection_cut_in_the_middle_of_a_transfer_leaves_nothing_behind(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a mebibyte has left, all connections of the run break, the lock's too."""
    sent = []

    def interrupted(parcel: ship.Parcel) -> Iterator[bytes]:
        for chunk in ship.chunks(parcel):
            yield chunk
            sent.append(len(chunk))
            if len(sent) == 1:
                mesh.vps.check("pkill", "-KILL", "-f", SESSIONS)

    monkeypatch.setattr(apply, "chunks", interrupted)
    data = data_on_host(mesh)
    with (
        requests(mesh, health(mesh)) as asked,
        device(mesh) as client,
        other_builds(mesh, monkeypatch) as offer,
    ):
        offer(copies=2)
        ended = roll_out_here(mesh.plan.site_file, patch=monkeypatch.setattr)
        assert ended.name == "CouldNotRun", ended
        assert re.search(r"vps: docker load: the connection to \S+ .*broke", ended.message)
        assert within(20, lambda: mesh.vps.run("pgrep", "-f", "docker [l]oad").status == 1)
        assert mesh.vps.run("docker", "image", "inspect", NAME).status != 0
        assert "docker-import" not in mesh.vps.check("ls", "/var/lib/docker/tmp")
        report = succeeded(roll_out_here(mesh.plan.site_file, patch=monkeypatch.setattr))
        assert "headscale.ship" in kinds(report.model_dump())
        assert data_on_host(mesh) == data
    assert asked.failed == {}
    assert set(client.states) == {"Running"}


def test_a_disk_that_is_full_from_any_step_on_is_told_and_the_next_run_finishes(
    mesh: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run brings another image, so that it sends one and keeps the data. The steps are those of
    an undisturbed one; a disk that is full at the first of them is seen before anything is sent."""
    log, site_file, told = tmp_path / "steps", mesh.plan.site_file, {}
    log.touch()
    with small_disk(mesh) as disk, other_builds(mesh, monkeypatch) as offer:
        offer()
        succeeded(roll_out_here(site_file, Steps(log), monkeypatch.setattr))
        data, steps = data_on_host(mesh), list(dict.fromkeys(log.read_text().split()))
        steps = steps[steps.index("have_room") : steps.index("finish") + 1]
        with requests(mesh, health(mesh)) as asked, device(mesh) as client:
            for number, step in enumerate(steps, 1):
                offer(number=number)
                ended = roll_out_here(site_file, just_before(step, disk.fill), monkeypatch.setattr)
                told[step] = getattr(ended, "message", "")
                assert data_on_host(mesh) == data
                disk.make_room()
                succeeded(roll_out_here(site_file, patch=monkeypatch.setattr))
                assert data_on_host(mesh) == data
    assert "Nothing was touched" in told["have_room"]
    for step in ("have_room", "send_images", "write_files", "start"):
        assert re.search(NO_ROOM, told[step]), step
    assert asked.failed == {}
    assert set(client.states) == {"Running"}


@pytest.mark.parametrize("step", ["start", "gate_on_host", "finish"])
def test_a_host_that_loses_its_power_serves_again_by_itself_and_the_next_run_finishes(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nobody is served while the machine is down: requests are counted until then, and from when
    it serves again. The old server may find the new files then, or the new one was started."""
    data = data_on_host(mesh)
    with site_changed(mesh, smaller):
        with ExitStack() as until_then:
            seen = until_then.enter_context(requests(mesh, health(mesh)))

            def lose_power() -> None:
                until_then.close()
                mesh.vps.container.kill()
                mesh.vps.container.start()

            ended = roll_out_here(
                mesh.plan.site_file, just_before(step, lose_power), monkeypatch.setattr
            )
        assert seen.failed == {}
        assert ended.name in {"Failed", "CouldNotRun"}, ended
        assert within(90, lambda: serves(mesh))
        mesh.vps.run("systemctl", "is-system-running", "--wait")
        with requests(mesh, health(mesh)) as asked:
            roll_out(mesh)
            assert not meshkeeper(mesh.plan, "plan")["changes"]
        assert asked.failed == {}
        assert data_on_host(mesh) == data
        assert is_joined(mesh.client_a)
