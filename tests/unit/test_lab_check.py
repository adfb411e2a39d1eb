"""What is wrong with a machine is one sentence, said before anything is made."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.lab.check import check_machine
from deployments.lab.plan import LabPlan
from deployments.lab.steps import Step, run_steps
from infra.access.docker import engine as docker_engine
from infra.errors import CouldNotRun


def plan(directory: Path, port: int) -> LabPlan:
    return LabPlan(prefix="mk-unit", subnet="10.1", ui_port=port, directory=directory)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CouldNotRun, match=f"Port {port} on 127.0.0.1"):
            check_machine(docker_engine(), plan(tmp_path, port))


def test_a_machine_in_order_is_described(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert check_machine(docker_engine(), plan(tmp_path, port)).startswith("Docker ")


def test_no_engine_is_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.lab", "status"],
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("lab: No Docker engine answers")
    assert len(done.stderr.splitlines()) == 1


def test_each_step_says_when_it_begins_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_steps([Step("wait", lambda: "waited"), Step("rest", lambda: "rested")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/2] wait …"
    assert lines[1].endswith("waited")
    assert float(lines[1].split()[0]) >= 0
    assert lines[2] == "[2/2] rest …"


def test_a_failed_step_ends_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> str:
        raise CouldNotRun("no")

    with pytest.raises(CouldNotRun):
        run_steps([Step("fail", fail), Step("never", lambda: "reached")])
    assert "never" not in capsys.readouterr().out
