"""`doctor` names each thing that is missing and what to do."""

import json
import os
from pathlib import Path

import pytest

from deployments.cli import checks
from deployments.cli.main import main


@pytest.fixture
def fresh_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site as `init` writes it, on a machine with nothing else."""
    for name in [name for name in os.environ if name.startswith("MESHKEEPER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setattr(checks, "restic_path", lambda: Path("restic"))  # may build for a minute
    site = tmp_path / "site.yaml"
    assert main(["init", "--site", str(site)]) == 0
    return site


def doctor(site: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert main(["doctor", "--json", "--site", str(site)]) == 3
    said = json.loads(capsys.readouterr().out)
    return {check["name"]: check for check in said["checks"]}


def test_a_missing_engine_and_control_plane_are_told_with_what_to_do(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = doctor(fresh_site, capsys)
    assert "systemctl start docker" in str(found["Docker"]["todo"])
    assert "meshkeeper up" in str(found["control plane"]["todo"])
    assert found["secret restic_password"]["ok"]
    assert not found["host vps"]["ok"]


def test_a_secrets_file_that_others_can_read_is_told(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = fresh_site.parent / "state" / "secrets.yaml"
    secrets.chmod(0o644)
    found = doctor(fresh_site, capsys)
    assert "chmod 600" in str(found["secret restic_password"]["todo"])


def test_a_bad_site_file_does_not_keep_the_doctor_from_the_rest(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh_site.write_text("domain: no\n")
    found = doctor(fresh_site, capsys)
    assert "can't be used" in str(found["site file"]["found"])
    assert found["Python"]["ok"]


def test_a_typo_in_the_secrets_file_never_shows_the_secret(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = fresh_site.parent / "state" / "secrets.yaml"
    secrets.write_text('restic_password: "My-Real-Password\n')
    found = doctor(fresh_site, capsys)
    assert "is not YAML: look at line" in str(found["secret restic_password"]["found"])
    assert "My-Real-Password" not in str(found)


def test_a_machine_without_any_ssh_key_is_told(
    fresh_site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(fresh_site.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert "ssh-keygen" in str(doctor(fresh_site, capsys)["SSH key"]["todo"])
    (fresh_site.parent / ".ssh").mkdir()
    (fresh_site.parent / ".ssh" / "id_ed25519").touch()
    assert doctor(fresh_site, capsys)["SSH key"]["found"] == "id_ed25519"


def test_a_repository_on_the_host_itself_is_told(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = fresh_site.read_text().replace("~/backups/headscale", "sftp:me@203.0.113.10:/backups")
    fresh_site.write_text(text)
    assert "one of the site's own hosts" in str(doctor(fresh_site, capsys)["repository"]["found"])


@pytest.mark.parametrize("variable", ["MESHKEEPER_UI_PORT", "MESHKEEPER_STATE_DIR"])
def test_a_setting_that_can_not_be_used_is_one_sentence(
    fresh_site: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "/dev/null/x")
    main(["doctor", "--site", str(fresh_site)])
    said = "".join(capsys.readouterr())
    assert variable in said
    assert "Traceback" not in said
