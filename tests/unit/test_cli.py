"""The command line: its exit codes, its JSON, and how fast it starts."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deployments.cli.answer import Answer, show
from deployments.cli.arguments import COMMANDS
from deployments.cli.flow import exit_code
from deployments.cli.main import MODULES, main
from infra.settings import load_settings
from infra.site_file import load_site
from infra.text import cell


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MESHKEEPER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "state"))


def test_init_writes_a_valid_site_and_a_password_that_only_we_can_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.yaml"
    assert main(["init", "--site", str(site)]) == 0
    assert load_site(site).name == "cronova.dev"
    assert (tmp_path / "site.schema.json").exists()
    secrets = tmp_path / "state" / "secrets.yaml"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    password = yaml.safe_load(secrets.read_text())["restic_password"]
    assert len(password) >= 32
    assert password not in capsys.readouterr().out


def test_init_refuses_to_overwrite_a_site_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("mine")
    assert main(["init", "--site", str(site)]) == 2
    assert site.read_text() == "mine"
    assert "exists and is left as it is" in capsys.readouterr().err


def test_init_that_can_not_keep_a_password_writes_no_site_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "file" / "state"))
    assert main(["init", "--site", str(tmp_path / "site.yaml")]) == 2
    assert not (tmp_path / "site.yaml").exists()


def test_a_setting_that_nobody_knows_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "meshkeeper.env").write_text("MESHKEEPER_UI_PROT=4201\nOTHER=1\n")
    assert main(["status", "--site", str(tmp_path / "site.yaml")]) == 2
    said = capsys.readouterr().err
    assert "MESHKEEPER_UI_PROT" in said
    assert "MESHKEEPER_UI_PORT" in said


def test_a_relative_path_is_meant_from_the_site_files_folder(tmp_path: Path) -> None:
    (tmp_path / "meshkeeper.env").write_text("MESHKEEPER_SSH_KEY=id_ed25519\n")
    assert load_settings(tmp_path / "site.yaml").ssh_key == tmp_path / "id_ed25519"


def test_init_never_replaces_a_password(tmp_path: Path) -> None:
    secrets = tmp_path / "state" / "secrets.yaml"
    secrets.parent.mkdir()
    secrets.write_text("restic_password: old\n")
    assert main(["init", "--site", str(tmp_path / "site.yaml")]) == 0
    assert secrets.read_text() == "restic_password: old\n"


def test_init_adds_a_password_to_secrets_that_are_there(tmp_path: Path) -> None:
    secrets = tmp_path / "state" / "secrets.yaml"
    secrets.parent.mkdir()
    secrets.write_text("other: value")
    assert main(["init", "--site", str(tmp_path / "site.yaml")]) == 0
    found = yaml.safe_load(secrets.read_text())
    assert set(found) == {"other", "restic_password"}
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "command", ["plan", "up", "backup", "drill", "rehearse", "audit", "provision", "rollout"]
)
def test_a_bad_site_file_ends_every_command_with_2(command: str, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("domain: no\n")
    assert main([command, "--site", str(site)]) == 2


def test_an_error_is_json_for_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--json", "--site", str(tmp_path / "none.yaml")]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["error"] == "BadInput"
    assert "meshkeeper init" in said["hint"]


def test_plan_of_a_host_whose_key_is_not_pinned_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.yaml"
    assert main(["init", "--site", str(site)]) == 0
    assert main(["plan", "--site", str(site)]) == 2
    assert "No host key is pinned" in capsys.readouterr().err


def test_a_request_that_makes_no_sense_is_bad_input_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.yaml"
    assert main(["init", "--site", str(site)]) == 0
    assert main(["drill", "--snapshot", "yesterday", "--site", str(site)]) == 2
    said = capsys.readouterr().err
    assert "--snapshot 'yesterday' has not the right form." in said
    assert "a snapshot's id such as 20261123T120000Z" in said


def test_a_machine_that_refuses_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("deployments.cli.control.load_settings", refuse)
    assert main(["status"]) == 3
    said = capsys.readouterr().err
    assert "Too many open files" in said
    assert "Traceback" not in said


def test_status_without_a_control_plane_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["status"]) == 3
    assert "meshkeeper up" in capsys.readouterr().out


def test_down_without_a_control_plane_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": []}


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        ("COMPLETED", "Verified", 0),
        ("COMPLETED", "Completed", 0),
        ("FAILED", "Failed", 1),
        ("FAILED", "BadInput", 2),
        ("FAILED", "CouldNotRun", 3),
        ("CRASHED", "Crashed", 3),
        ("CANCELLED", "Cancelled", 3),
        ("CANCELLED", "NotApproved", 2),
    ],
)
def test_a_runs_state_decides_the_exit_code(kind: str, name: str, code: int) -> None:
    assert exit_code({"type": kind, "name": name}) == code


def test_every_command_is_there() -> None:
    assert set(MODULES) == set(COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--site", "none.yaml"], ["status"]])
def test_the_command_line_starts_without_prefect(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from deployments.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit('prefect' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ["rollout", "--yes", "--stack", "nope"],
        ["rollback", "--yes", "--stack", "nope", "--to", "20261127T093000Z"],
    ],
)
def test_a_stack_that_the_site_does_not_name_is_refused_before_anything_starts(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.yaml"
    assert main(["init", "--site", str(site)]) == 0
    assert main([*command, "--site", str(site)]) == 2
    said = capsys.readouterr().err
    assert "names no stack nope" in said
    assert "headscale" in said
    assert "No control plane runs" not in said


def test_markdown_that_nothing_renders_shows_its_characters_and_turns_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = f"write {cell('`0.29.2`')} at stacks.headscale.version{chr(10)}&#8238;&#27;[31m"
    show(Answer(text, {}, markdown=True), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "write `0.29.2` at stacks.headscale.version",
        "?[31m",
    ]
