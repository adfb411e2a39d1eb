"""`up`, `down`, `status` with real processes, and what a power cut leaves behind."""

import os
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from deployments.embedded.api import Api, Json
from deployments.embedded.processes import carrying
from infra.settings import CONTROL_PLANE_MARK
from tests.waiting import wait_for


def test_up_starts_server_and_worker_and_again_changes_nothing(control_plane: Any) -> None:
    before = control_plane.pids()
    code, answer = control_plane.call("up")
    assert code == 0
    assert answer["url"] == control_plane.url
    assert control_plane.pids() == before


def test_the_server_listens_on_this_machine_only(control_plane: Any) -> None:
    port = f":{control_plane.port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    listening = [line.split()[1] for line in lines if f"{port} 00000000:0000" in line]
    assert listening == [f"0100007F{port}"]


def test_a_page_of_another_origin_may_not_read_the_api(control_plane: Any) -> None:
    answer = httpx.get(
        f"{control_plane.url}/api/health", headers={"Origin": "https://evil.example"}
    )
    assert answer.headers.get("access-control-allow-origin") != "https://evil.example"
    assert answer.headers.get("access-control-allow-origin") != "*"


def test_every_deployment_has_the_sites_schedule_and_defaults(control_plane: Any) -> None:
    found = {d["name"]: d for d in Api(f"{control_plane.url}/api").deployments()}
    filled_in = {name: d["parameters"]["request"] for name, d in found.items()}
    assert filled_in.pop("provision") == {"site": "cronova.dev", "host": "vps"}
    assert all(request == {"site": "cronova.dev"} for request in filled_in.values())
    crons = {name: [s["schedule"]["cron"] for s in d["schedules"]] for name, d in found.items()}
    site = yaml.safe_load(control_plane.site.read_text())
    assert crons == {
        "provision": [],
        "rollout": [],
        "rollback": [],
        "rehearsal": [],
        "hourly": [site["backup"]["schedule"]],
        "weekly": [site["drill"]["schedule"]],
        "daily": [site["audit"]["schedule"]],
    }
    assert all(d["path"] is None and not d["pull_steps"] for d in found.values())


def test_a_command_follows_its_run_and_ends_with_its_exit_code(control_plane: Any) -> None:
    process = control_plane.start("provision")
    out, progress = process.communicate(timeout=120)
    assert process.returncode == 3, out + progress
    assert "CouldNotRun" in out
    assert "Running" in progress


def test_without_a_control_plane_a_flow_runs_in_the_commands_process(
    site_of_a_dead_host: Any, tmp_path: Any
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(site_of_a_dead_host.site.read_text())
    (tmp_path / "meshkeeper.env").write_text(
        f"MESHKEEPER_STATE_DIR={tmp_path / 'state'}\nMESHKEEPER_UI_PORT=1\n"
    )
    alone = type(site_of_a_dead_host)(site, tmp_path / "state", 1)
    code, answer = alone.call("provision")
    assert (code, answer["state"]) == (3, "CouldNotRun")


def silent_host(control_plane: Any) -> socket.socket:
    """Takes connections and never says a word, so that a run waits."""
    values = yaml.safe_load(control_plane.site.read_text())
    return socket.create_server(("127.0.0.1", values["hosts"]["vps"]["port"]))


def test_a_run_that_is_cancelled_in_the_ui_ends_with_its_process(control_plane: Any) -> None:
    api = Api(f"{control_plane.url}/api")
    deployment = api.deployment("provision/provision")
    assert deployment
    with silent_host(control_plane):
        run = api.start_run(deployment["id"], {"site": "cronova.dev", "host": "vps"})
        wait_for(lambda: api.run(run["id"])["state_name"] == "Running")
        assert carrying("PREFECT__FLOW_RUN_ID", run["id"])
        api.set_state(run["id"], {"type": "CANCELLING", "name": "Cancelling"})
        wait_for(lambda: api.run(run["id"])["state_name"] == "Cancelled")
    wait_for(lambda: not carrying("PREFECT__FLOW_RUN_ID", run["id"]))


def test_after_a_power_cut_the_next_run_is_not_blocked(control_plane: Any) -> None:
    api = Api(f"{control_plane.url}/api")
    with silent_host(control_plane):
        process = control_plane.start("provision")
        wait_for(lambda: api.runs(state={"type": {"any_": ["RUNNING"]}}))
        for pid in control_plane.pids().values():
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate()
        assert control_plane.call("status")[0] == 3
        assert control_plane.call("up")[0] == 0
    assert {run["state_name"] for run in api.runs(state={"type": {"any_": ["CRASHED"]}})} == {
        "Crashed"
    }
    code, answer = control_plane.call("provision")
    assert (code, answer["state"]) == (3, "CouldNotRun")


def test_what_was_missed_while_nothing_ran_becomes_one_run(control_plane: Any) -> None:
    api = Api(f"{control_plane.url}/api")
    deployment = api.deployment("restore-drill/weekly")
    assert deployment
    os.kill(control_plane.pids()["worker"], signal.SIGKILL)
    now = datetime.now(UTC)
    span = {"start_time": str(now - timedelta(weeks=3)), "end_time": str(now), "max_runs": 3}
    address = f"{control_plane.url}/api/deployments/{deployment['id']}/schedule"
    # Busy with what the killed worker left, the server may say 503.
    wait_for(lambda: httpx.post(address, json=span).is_success)
    assert len(past_runs(api, deployment["id"])) >= 2
    assert control_plane.call("up")[0] == 0
    wait_for(lambda: api.last_ended(deployment["id"])[0]["state_name"] not in ("Missed", "Late"))
    ran = [run for run in past_runs(api, deployment["id"]) if run["state_name"] != "Missed"]
    assert len(ran) == 1


def past_runs(api: Api, deployment_id: str) -> list[Json]:
    """The runs of a deployment whose time has come."""
    now = datetime.now(UTC)
    return [
        run
        for run in api.runs()
        if run["deployment_id"] == deployment_id
        and datetime.fromisoformat(run["expected_start_time"]) <= now
    ]


def test_a_taken_port_is_told_in_one_sentence(site_of_a_dead_host: Any, tmp_path: Any) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(site_of_a_dead_host.site.read_text())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (tmp_path / "meshkeeper.env").write_text(
            f"MESHKEEPER_STATE_DIR={tmp_path / 'state'}\nMESHKEEPER_UI_PORT={port}\n"
        )
        alone = type(site_of_a_dead_host)(site, tmp_path / "state", port)
        code, answer = alone.call("up")
    assert code == 3
    assert answer["message"] == f"Port {port} on 127.0.0.1 is taken by another program."


def test_another_site_does_not_take_a_running_control_plane_away(
    control_plane: Any, tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text(control_plane.site.read_text())
    settings = control_plane.site.with_name("meshkeeper.env").read_text()
    (tmp_path / "meshkeeper.env").write_text(settings)
    other = type(control_plane)(tmp_path / "site.yaml", control_plane.state, control_plane.port)
    code, answer = other.call("up")
    assert (code, answer["error"]) == (2, "BadInput")
    assert str(control_plane.site) in answer["message"]
    code, answer = other.call("provision")
    assert (code, answer["error"]) == (2, "BadInput"), "it would act by the other file"
    assert f"not one of {other.site}" in answer["message"]
    code, answer = other.call("status")
    assert (code, answer["of_other_site"]) == (3, str(control_plane.site))
    assert control_plane.call("status")[0] == 0


def test_down_stops_all_of_this_control_plane_and_nothing_else(control_plane: Any) -> None:
    code, answer = control_plane.call("down")
    assert (code, answer["stopped"]) == (0, ["worker", "server"])
    assert carrying(CONTROL_PLANE_MARK, str(control_plane.state)) == []
    assert control_plane.call("status")[0] == 3
