"""The hourly backup on a real mesh, with what can go wrong on the host and at home."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from deployments.lab.plan import ROOT
from infra.access.anchor import load_anchor, update_anchor
from infra.access.restic import Repository
from infra.backup.report import snapshot_time
from infra.backup.store import site_repository, snapshot_id, tags
from infra.model.anchor import Anchor
from tests.integration.files import replaced
from tests.integration.hosts import connections

BACKUPS = "/home/linuxuser/backups/headscale"
#: A run in a process of its own, so that killing it kills the flow and not the worker.
RUN_HERE = """
import os, sys
os.environ["MESHKEEPER_SITE"] = sys.argv[1]
from deployments.cli.local_run import run_here
from infra.settings import load_settings
from infra.site_file import load_site
settings = load_settings()
run_here(settings, "flows.backup.headscale_backup", {"site": load_site(settings.site).name})
"""
#: Flips one bit in the middle of a file.
FLIP = (
    "import sys; f = open(sys.argv[1], 'r+b'); f.seek(0, 2); middle = f.tell() // 2;"
    "f.seek(middle); b = f.read(1); f.seek(middle); f.write(bytes([b[0] ^ 1]))"
)


pytestmark = pytest.mark.usefixtures("backed_up")


@pytest.fixture
def repository(mesh: Lab) -> Repository:
    return site_repository(mesh.settings, mesh.site)


def backup(mesh: Lab) -> dict[str, Any]:
    return dict(meshkeeper(mesh.plan, "backup")["report"])


def snapshot_on_host(mesh: Lab) -> str:
    """As the sidecar does it while nobody at home is awake."""
    asked = ("docker", "exec", "headscale-backup", "python3", "/backup/snapshot.py")
    return mesh.vps.check(*asked).strip()


def staging(mesh: Lab) -> Path:
    return mesh.settings.site_dir(mesh.site.name) / "staging" / "backup"


def test_the_hours_asleep_are_fetched_with_their_own_times(
    mesh: Lab, repository: Repository
) -> None:
    asleep = [snapshot_on_host(mesh) for _ in range(3)]
    before = connections(mesh.vps, "Accepted publickey")

    report = backup(mesh)

    # All four come over one connection; the hourly run may have had one of its own meanwhile.
    assert connections(mesh.vps, "Accepted publickey") <= before + 2
    stored = [snapshot["id"] for snapshot in report["stored"]]
    # The sidecar may have made one of its own in between.
    assert [snapshot for snapshot in stored if snapshot in asleep] == asleep
    assert stored[-1] > asleep[-1]
    in_restic = {snapshot_id(s): s.time for s in repository.snapshots(tags(mesh.site.name))}
    for snapshot in stored:
        assert in_restic[snapshot] == snapshot_time(snapshot)


def test_a_run_leaves_the_last_verified_facts_and_no_copy(mesh: Lab) -> None:
    report = backup(mesh)
    verified = load_anchor(mesh.settings, mesh.site.name).last_verified
    assert verified is not None
    assert verified.id == report["newest_verified"] == report["if_host_is_lost"]["id"]
    assert {"meshkeeper-canary"} < {node.name for node in verified.facts.nodes}
    assert list(staging(mesh).iterdir()) == []


def test_what_a_killed_run_did_not_tell_the_next_one_tells(mesh: Lab) -> None:
    backup(mesh)

    def forget_a_user(anchor: Anchor) -> Anchor:
        known = anchor.last_reported
        assert known is not None
        facts = known.facts.model_copy(update={"users": ()})
        reported = known.model_copy(update={"facts": facts})
        return anchor.model_copy(update={"last_reported": reported})

    update_anchor(mesh.settings, mesh.site.name, forget_a_user)
    (user,) = mesh.site.stacks.headscale.users
    assert f"user {user} appeared" in backup(mesh)["changes"]
    assert backup(mesh)["changes"] == []


def test_a_damaged_snapshot_fails_the_run_and_the_others_are_stored(mesh: Lab) -> None:
    before, bad, after = (snapshot_on_host(mesh) for _ in range(3))
    path = f"{BACKUPS}/{bad}.tar"
    mesh.vps.check("python3", "-c", FLIP, path)
    try:
        answer, status = ask_meshkeeper(mesh.plan, "backup")
    finally:
        mesh.vps.check("rm", path)

    assert (status, answer["state"]) == (1, "Failed")
    assert f"Snapshot {bad} is bad: db.sqlite: expected SHA-256" in answer["message"]
    report = answer["report"]
    assert [refused["id"] for refused in report["refused"]] == [bad]
    stored = [snapshot["id"] for snapshot in report["stored"]]
    assert {before, after} < set(stored)
    assert bad not in stored


def test_a_stopped_sidecar_fails_the_run_and_what_is_there_is_stored(mesh: Lab) -> None:
    last = snapshot_on_host(mesh)
    mesh.vps.check("docker", "stop", "headscale-backup")
    try:
        answer, status = ask_meshkeeper(mesh.plan, "backup")
    finally:
        mesh.vps.check("docker", "start", "headscale-backup")

    assert (status, answer["state"]) == (1, "Failed")
    assert "The container headscale-backup is exited" in answer["message"]
    assert answer["report"]["stored"][-1]["id"] == last


def test_a_snapshot_that_the_host_could_not_make_is_told_by_the_next_run(mesh: Lab) -> None:
    alone = ("docker", "exec", "-e", "HEADSCALE_URL=http://127.0.0.1:1", "headscale-backup")
    assert mesh.vps.run(*alone, "python3", "/backup/snapshot.py", "--own").status == 1

    answer, status = ask_meshkeeper(mesh.plan, "backup")

    assert (status, answer["state"]) == (1, "Failed")
    assert "The sidecar's own last snapshot failed: 20" in answer["message"]
    assert "Headscale does not show its keys at http://127.0.0.1:1" in answer["message"]
    assert answer["report"]["stored"], "what could be made is stored all the same"


def test_a_host_that_does_not_answer_leaves_a_report_of_what_is_stored(mesh: Lab) -> None:
    known = backup(mesh)
    mesh.vps.check("systemctl", "stop", "ssh.socket", "ssh.service")
    try:
        answer, status = ask_meshkeeper(mesh.plan, "backup")
    finally:
        mesh.vps.check("systemctl", "start", "ssh.service")

    assert (status, answer["state"]) == (3, "CouldNotRun")
    assert "No SSH connection to vps" in answer["message"]
    report = answer["report"]
    assert report["if_data_is_damaged"] is None
    assert report["if_host_is_lost"]["id"] == known["newest_verified"]
    assert report["kept"] >= 1


def test_a_wrong_password_could_not_run(mesh: Lab) -> None:
    secrets = mesh.plan.state / "secrets.yaml"
    with replaced(secrets, "restic_password: not-this-one\n"):
        answer, status = ask_meshkeeper(mesh.plan, "backup")
    assert (status, answer["state"]) == (3, "CouldNotRun")
    assert "The password does not open the restic repository" in answer["message"]
    assert "not-this-one" not in str(answer)


def test_a_repository_that_vanished_is_not_made_anew(mesh: Lab, repository: Repository) -> None:
    """As when its disk is not mounted: an empty new one would look like a backup."""
    place = Path(repository.location)
    away = place.with_name("unmounted")
    place.rename(away)
    try:
        answer, status = ask_meshkeeper(mesh.plan, "backup")
        assert not place.exists()
    finally:
        away.rename(place)
    assert (status, answer["state"]) == (3, "CouldNotRun")
    assert "Is its disk mounted" in answer["message"]


def test_a_killed_run_is_made_good_by_the_next(mesh: Lab) -> None:
    asleep = [snapshot_on_host(mesh) for _ in range(3)]
    run = subprocess.Popen(
        [sys.executable, "-c", RUN_HERE, str(mesh.plan.site_file)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_a_fetch(staging(mesh))
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert list(staging(mesh).iterdir()), "the killed run was not in the midst of its work"

    report = backup(mesh)

    assert report["problems"] == []
    assert list(staging(mesh).iterdir()) == []
    # The first may have been stored before the end; nothing after it was.
    assert set(asleep[1:]) < {stored["id"] for stored in report["stored"]}


def wait_for_a_fetch(folder: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if list(folder.glob("*/archive/headscale.tar")):
                return
        time.sleep(0.01)
    pytest.fail("the run fetched nothing")


def test_the_password_is_in_no_process_list_and_no_report(mesh: Lab) -> None:
    password = (mesh.plan.state / "secrets.yaml").read_text().split(":")[1].strip()
    command = ["-m", "deployments.cli.main", "backup", "--json", "--site"]
    run = subprocess.Popen(
        [sys.executable, *command, str(mesh.plan.site_file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen: set[str] = set()
    while run.poll() is None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                seen.add(process.read_text(errors="replace").replace("\0", " "))
    told = run.communicate()[0]

    assert run.returncode == 0
    assert any("restic" in line and "backup --host" in line for line in seen)
    assert not any(password in line for line in {*seen, told})
