"""What is wrong with a machine is one sentence, said before anything is made."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.lab.check import check_machine
from deployments.lab.engine import OWNER
from deployments.lab.link import free_port
from deployments.lab.plan import LabPlan
from deployments.lab.steps import Step, run_steps
from infra.errors import CouldNotRun, DockerUnavailable


def plan(directory: Path, port: int) -> LabPlan:
    return LabPlan(prefix="mk-unit", subnet="10.1", ui_port=port, directory=directory)


def engine(directory: Path | None = None, api: str = "1.41") -> Any:
    """As much of an engine as is asked; with `directory`, a lab of that one is up."""
    up = [SimpleNamespace(attrs={"Labels": {OWNER: str(directory)}})] if directory else []
    return SimpleNamespace(
        version=lambda: {"ApiVersion": api, "Version": "20.10.24"},
        networks=SimpleNamespace(list=lambda names: up),
    )


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CouldNotRun, match=f"Port {port} on 127.0.0.1"):
            check_machine(engine(), plan(tmp_path, port))


def test_a_machine_in_order_is_described(tmp_path: Path) -> None:
    found = check_machine(engine(tmp_path), plan(tmp_path, free_port()))
    assert found.startswith("Docker 20.10.24, ")


def test_an_engine_that_is_too_old_is_named(tmp_path: Path) -> None:
    with pytest.raises(DockerUnavailable, match=r"Docker 20\.10\.24 is too old"):
        check_machine(engine(api="1.40"), plan(tmp_path, free_port()))


def test_the_lab_of_another_checkout_is_named_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with pytest.raises(CouldNotRun, match=f"another checkout is up; its files are in {other}"):
        check_machine(engine(other), plan(tmp_path / "own", free_port()))


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
