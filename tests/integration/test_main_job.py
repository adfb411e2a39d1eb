"""The main job end to end: what it leaves behind, seen by its effects."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from deployments.embedded.api import Api
from deployments.embedded.processes import carrying
from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from deployments.lab.join import mesh_address, ping_over_mesh
from deployments.lab.plan import ROOT
from deployments.lab.steps import MainJob
from deployments.lab.summary import print_summary
from infra.drill.world import LABEL, is_orphan
from infra.settings import CONTROL_PLANE_MARK


@pytest.fixture
def site_text(mesh: Lab) -> Iterator[str]:
    """The site file's text; what a test writes into the file is undone."""
    text = mesh.plan.site_file.read_text()
    yield text
    mesh.plan.site_file.write_text(text)


def drill_objects(lab: Lab) -> list[str]:
    """Ids of the drills' worlds of which containers, networks or volumes are there."""
    everything = [
        *(c.labels for c in lab.engine.containers.list(all=True, ignore_removed=True)),
        *(n.attrs["Labels"] or {} for n in lab.engine.networks.list()),
        *(v.attrs["Labels"] or {} for v in lab.engine.volumes.list()),
    ]
    return [labels[LABEL] for labels in everything if LABEL in labels]


def left_behind(lab: Lab) -> list[str]:
    """Those of drills that have ended: another lab of this machine may be drilling."""
    return [world for world in drill_objects(lab) if is_orphan(world)]


def test_a_second_plan_is_empty_after_one_round_trip(mesh: Lab) -> None:
    answer = meshkeeper(mesh.plan, "plan", "--check")
    assert (answer["changes"], answer["round_trips"]) == (False, 1)


def test_a_second_provision_and_rollout_touch_nothing(mesh: Lab) -> None:
    provisioned = meshkeeper(mesh.plan, "provision")["report"]
    rolled_out = meshkeeper(mesh.plan, "rollout", "--yes")["report"]
    assert (provisioned["changes"], provisioned["round_trips"]) == ([], 1)
    assert (rolled_out["applied"], rolled_out["users_created"]) == ([], [])
    assert not rolled_out["canary_enrolled"]


def test_the_doctor_finds_nothing_amiss(mesh: Lab, backed_up: Lab) -> None:
    answer = meshkeeper(mesh.plan, "doctor")
    found = {check["name"]: check["found"] for check in answer["checks"]}
    assert answer["ok"]
    assert "opens with the password" in found["repository"]
    assert "the canary is enrolled" in found["anchor"]
    assert found[mesh.site.headscale_name] == f"leads to {mesh.plan.place('vps')}"


def test_the_observer_finds_only_the_declared_ports_open(mesh: Lab) -> None:
    scan = mesh.observer.check(
        "nmap", "-Pn", "-n", "-p-", "--open", "--min-rate", "10000", "--max-retries", "1",
        "-oG", "-", mesh.plan.place("vps"),
        timeout=180,
    )  # fmt: skip
    assert sorted(map(int, re.findall(r"(\d+)/open/tcp", scan))) == [22, 80, 443]


def test_the_relay_tells_the_observer_its_address_by_stun(mesh: Lab) -> None:
    router = mesh.engine.containers.get(mesh.plan.name("router-observer"))
    outer = router.attrs["NetworkSettings"]["Networks"][mesh.plan.name("internet")]["IPAddress"]
    seen = mesh.observer.check("python3", "-c", STUN, mesh.plan.place("vps"))
    assert seen.strip() == outer


#: Asks as a tailscale client does: the relay answers no other (RFC 8489 with two attributes). Its
#: answer ends with the address, masked: as IPv4, or mapped into IPv6.
STUN = """
import ipaddress, os, socket, struct, sys, zlib
number = os.urandom(12)
asked = struct.pack("!HHI", 1, 20, 0x2112A442) + number + struct.pack("!HH8s", 0x8022, 8, b"tailnode")
asked += struct.pack("!HHI", 0x8028, 4, zlib.crc32(asked) ^ 0x5354554E)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
    relay.settimeout(5)
    relay.sendto(asked, (sys.argv[1], 3478))
    answer = relay.recv(1024)
assert answer[8:20] == number
mask = number[-4:] if answer[25] == 2 else bytes.fromhex("2112a442")
print(ipaddress.ip_address(bytes(a ^ b for a, b in zip(answer[-4:], mask))))
"""


def test_the_containers_are_as_confined_as_declared(mesh: Lab) -> None:
    memory = {
        "headscale": mesh.site.stacks.headscale.memory_mb,
        "headscale-backup": 64,
        "caddy": mesh.site.stacks.caddy.memory_mb,
    }
    seen = {
        c["Name"].strip("/"): c for c in json.loads(mesh.vps.check("docker", "inspect", *memory))
    }
    for name, megabytes in memory.items():
        limits = seen[name]["HostConfig"]
        assert (name, limits["ReadonlyRootfs"]) == (name, True)
        assert (name, limits["Memory"]) == (name, megabytes * 1024**2)
        assert (name, limits["CapDrop"]) == (name, ["ALL"])
    assert seen["headscale"]["State"]["Health"]["Status"] == "healthy"
    touched = mesh.vps.run("docker", "exec", "headscale-backup", "touch", "/etc/x")
    assert "Read-only file system" in touched.stderr


def test_passwords_and_root_are_refused(mesh: Lab) -> None:
    offered = mesh.observer.run(
        "ssh", "-o", "StrictHostKeyChecking=no", "-o", "PreferredAuthentications=none",
        f"linuxuser@{mesh.plan.place('vps')}", "true",
    )  # fmt: skip
    assert "Permission denied (publickey)" in offered.stderr
    effective = mesh.vps.check("sshd", "-T")
    assert "permitrootlogin no" in effective
    assert "passwordauthentication no" in effective


def test_the_landing_page_is_served_with_a_certificate_by_acme(mesh: Lab) -> None:
    page = mesh.observer.check("curl", "-sSfi", f"https://{mesh.site.domain}/")
    assert mesh.site.domain in page
    assert "strict-transport-security:" in page.lower()
    moved = mesh.observer.check("curl", "-sSi", f"http://{mesh.site.domain}/")
    assert f"location: https://{mesh.site.domain}/" in moved.lower()


def test_headscales_own_port_is_not_public(mesh: Lab) -> None:
    direct = mesh.observer.run("curl", "-m", "3", f"http://{mesh.plan.place('vps')}:8080/health")
    assert direct.status != 0
    through_caddy = f"https://{mesh.site.headscale_name}/health"
    assert json.loads(mesh.observer.check("curl", "-sSf", through_caddy))["status"] == "pass"


def test_clients_behind_different_routers_reach_each_other_by_name(mesh: Lab) -> None:
    assert "pong" in ping_over_mesh(mesh)
    other = f"{mesh.client_b.name.removeprefix(mesh.plan.prefix + '-')}.{mesh.site.stacks.headscale.base_domain}"
    found = mesh.client_a.check("dig", "+short", other, "@100.100.100.100").strip()
    assert found == mesh_address(mesh.client_b)


def test_the_canarys_state_is_a_secret(mesh: Lab) -> None:
    home = mesh.plan.settings.site_dir(mesh.site.name)
    assert (home / "canary.state").stat().st_mode & 0o777 == 0o600
    assert (home / "anchor.json").stat().st_mode & 0o777 == 0o600


def test_a_backup_is_verified_and_the_next_one_tells_what_changed(mesh: Lab) -> None:
    meshkeeper(mesh.plan, "backup")
    mesh.vps.check("docker", "exec", "headscale", "headscale", "users", "create", "newcomer")
    report = meshkeeper(mesh.plan, "backup")["report"]
    assert report["problems"] == []
    assert report["newest_verified"] in [stored["id"] for stored in report["stored"]]
    assert any("newcomer" in change for change in report["changes"])


def test_a_backup_asked_for_during_another_begins_after_it(mesh: Lab) -> None:
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: meshkeeper(mesh.plan, "backup"), range(2)))
    assert [answer["report"]["problems"] for answer in answers] == [[], []]
    assert answers[0]["run"] != answers[1]["run"]


def test_a_sidecar_that_lacks_a_key_fails_the_backup_and_is_named(mesh: Lab) -> None:
    key = "/home/linuxuser/docker/vps/networking/headscale/data/derp_server_private.key"
    mesh.vps.check("mv", key, f"{key}.away")
    try:
        answer, status = ask_meshkeeper(mesh.plan, "backup")
    finally:
        mesh.vps.check("mv", f"{key}.away", key)
    assert (status, answer["state"]) == (1, "Failed")
    assert "derp_server_private.key is missing or empty" in answer["message"]
    assert ask_meshkeeper(mesh.plan, "backup")[1] == 0


def test_a_drill_of_the_real_backup_is_verified_leaves_nothing_and_is_summed_up(
    mesh: Lab, backed_up: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    job = MainJob(mesh.engine, mesh.plan)
    job.drill = meshkeeper(mesh.plan, "drill")
    report = job.drill["report"]
    assert report["verdict"] == "verified"
    assert {proof["outcome"] for proof in report["evidence"]} == {"passed"}
    assert len(report["evidence"]) == 6
    assert left_behind(mesh) == []

    capsys.readouterr()
    print_summary(job)
    shown = capsys.readouterr().out
    assert "The drill's verdict: verified" in shown
    assert all(
        f"{part}: in order" in shown for part in ("vps", "vps.headscale", "vps.caddy", "vps.mesh")
    )
    assert all(proof["kind"] in shown for proof in report["evidence"])
    assert f"http://127.0.0.1:{mesh.plan.ui_port}" in shown
    assert "on the VPS: headscale-backup" in shown


def test_a_snapshot_that_is_not_there_is_no_bad_backup(mesh: Lab) -> None:
    answer, status = ask_meshkeeper(mesh.plan, "drill", "--snapshot", "20200101T000000Z")
    assert (status, answer["state"]) == (3, "CouldNotRun")


def test_a_version_that_would_refuse_the_data_is_refused_before_anything_is_touched(
    mesh: Lab, site_text: str
) -> None:
    """0.28 does not start on what 0.29 has touched."""
    mesh.plan.site_file.write_text(
        site_text.replace("  headscale:\n", "  headscale:\n    version: 0.28.0\n", 1)
    )
    for command in (("plan",), ("rollout", "--yes")):
        answer, status = ask_meshkeeper(mesh.plan, *command)
        assert status == 2, answer
        assert "headscale 0.29.2 → 0.28.0 goes back a minor version" in answer["message"]
    mesh.plan.site_file.write_text(site_text)
    assert not meshkeeper(mesh.plan, "plan", "--check")["changes"]


def test_a_killed_drill_leaves_nothing_within_a_minute(mesh: Lab) -> None:
    drill = subprocess.Popen(
        [sys.executable, "-c", KILLED_DRILL, str(mesh.plan.site_file)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    began = until(lambda: any(w.startswith(f"{drill.pid}-") for w in drill_objects(mesh)), 90)
    assert began, "the drill never began"
    os.kill(drill.pid, signal.SIGKILL)
    drill.wait()
    assert until(lambda: not left_behind(mesh), 60)
    staging = mesh.plan.settings.site_dir(mesh.site.name) / "staging"
    assert list(staging.glob("drill-*")) == []


def test_down_in_mid_drill_leaves_nothing_and_after_up_the_schedule_goes_on(
    mesh: Lab, site_text: str
) -> None:
    api = Api(mesh.settings.prefect_api_url)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask_meshkeeper, mesh.plan, "drill")
        assert until(lambda: drilling(mesh), 90), "the drill never began"
        os.kill(drilling(mesh)[0], signal.SIGSTOP)  # or it might end before it is ended
        # The worker may have ended its run already, when its turn comes.
        assert {"worker", "server"} <= set(meshkeeper(mesh.plan, "down")["stopped"])
        assert asked.result()[1] == 3
    assert until(lambda: not left_behind(mesh), 30)
    assert carrying(CONTROL_PLANE_MARK, str(mesh.plan.state)) == []
    assert not mesh.settings.prefect_temporary.exists()

    values = yaml.safe_load(site_text)
    values["backup"]["schedule"] = "* * * * *"
    mesh.plan.site_file.write_text(yaml.safe_dump(values))
    try:
        meshkeeper(mesh.plan, "up")
        assert until(lambda: by_schedule(api, "headscale-backup/hourly"), 180)
    finally:
        mesh.plan.site_file.write_text(site_text)
        meshkeeper(mesh.plan, "up")


def drilling(lab: Lab) -> list[int]:
    """The processes of the lab's control plane that drill."""
    ours = carrying(CONTROL_PLANE_MARK, str(lab.plan.state))
    return [pid for world in drill_objects(lab) if (pid := int(world.split("-")[0])) in ours]


def by_schedule(api: Api, deployment: str) -> bool:
    """Whether a schedule's run of it has succeeded."""
    known = api.deployment(deployment)
    assert known
    condition = {
        "deployment_id": {"any_": [known["id"]]},
        "state": {"type": {"any_": ["COMPLETED"]}},
    }
    return any(run["auto_scheduled"] for run in api.runs(**condition))


#: A drill in a process of its own, so that killing it kills the flow and not the worker.
KILLED_DRILL = """
import os, sys
os.environ["MESHKEEPER_SITE"] = sys.argv[1]
from deployments.cli.local_run import run_here
from infra.settings import load_settings
from infra.site_file import load_site
settings = load_settings()
run_here(settings, "flows.drill.restore_drill", {"site": load_site(settings.site).name})
"""


def until(question, patience: float) -> bool:
    """Ask until the answer is yes; False when it is not within `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.5)
    return False
