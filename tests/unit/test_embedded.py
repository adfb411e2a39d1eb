"""The control plane's processes and its unit, without Prefect."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deployments.embedded.environment import control_plane_environment
from deployments.embedded.processes import (
    Record,
    carrying,
    read_record,
    start_detached,
    start_time,
    stop,
    write_record,
)
from deployments.embedded.unit import render_unit
from infra.access.survivor import start_survivor
from infra.settings import CONTROL_PLANE_MARK, load_settings

SLEEPER = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def started(program: str, folder: Path) -> int:
    environment = {**os.environ, CONTROL_PLANE_MARK: str(folder)}
    return start_detached([sys.executable, "-c", program], environment, folder / "out.log")


def test_a_detached_process_is_found_by_its_mark_and_stopped(tmp_path: Path) -> None:
    pid = started(SLEEPER, tmp_path)
    assert carrying(CONTROL_PLANE_MARK, str(tmp_path)) == [pid]
    stop([pid])
    assert start_time(pid) is None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    pid = started(STUBBORN, tmp_path)
    time.sleep(0.5)
    stop([pid], patience=0.5)
    assert start_time(pid) is None


def test_a_record_of_a_number_that_was_used_again_is_no_record(tmp_path: Path) -> None:
    pid = started(SLEEPER, tmp_path)
    path = tmp_path / "server.pid"
    write_record(path, pid, "site.yaml")
    found = read_record(path)
    assert found is not None
    assert found.pid == pid
    path.write_text(Record(pid=pid, started=found.started - 1, site="site.yaml").model_dump_json())
    assert read_record(path) is None
    stop([pid])


def test_a_process_that_is_not_ours_is_not_found(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER]) as other:
        assert carrying(CONTROL_PLANE_MARK, str(tmp_path)) == []
        other.kill()


def test_a_callers_prefect_settings_do_not_reach_the_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "https://other.example/api")
    monkeypatch.setenv("PREFECT_API_KEY", "theirs")
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path))
    settings = load_settings(tmp_path / "site.yaml")
    environment = control_plane_environment(settings)
    assert environment["PREFECT_API_URL"] == settings.prefect_api_url
    assert "PREFECT_API_KEY" not in environment
    assert environment["PREFECT_HOME"] == str(tmp_path / "prefect")


def test_the_unit_starts_this_site_at_boot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path))
    unit = render_unit(load_settings(tmp_path / "site.yaml"), "/usr/bin:/bin")
    assert f'Environment="MESHKEEPER_SITE={tmp_path / "site.yaml"}"' in unit
    assert "ExecStart=" in unit
    assert "WantedBy=default.target" in unit


def test_who_clears_away_after_us_is_not_ended_with_the_control_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONTROL_PLANE_MARK, str(tmp_path))
    survivor = start_survivor("timeit", "-n1", "-r1", "import sys; sys.stdin.read()")
    try:
        assert carrying(CONTROL_PLANE_MARK, str(tmp_path)) == []
        assert survivor.poll() is None
    finally:
        survivor.communicate(timeout=10)
