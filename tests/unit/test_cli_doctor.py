"""`doctor` names each thing that is missing and what to do."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.cli import machine_checks, site_checks
from deployments.cli.main import main
from deployments.lab.keys import ensure_ssh_key
from infra.access import restic
from infra.access.anchor import save_anchor
from infra.model.anchor import Anchor, VerifiedSnapshot
from infra.settings import load_settings
from tests.samples import FACTS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def fresh_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site as `init` writes it, on a machine with nothing else."""
    for name in [name for name in os.environ if name.startswith("MESHKEEPER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    # The real one may have to be built for a minute; this one finds no repository.
    no_repository = tmp_path / "restic"
    no_repository.write_text("#!/bin/sh\nexit 10\n")
    no_repository.chmod(0o700)
    for module in (machine_checks, restic):
        monkeypatch.setattr(module, "restic_path", lambda: no_repository)
    site = tmp_path / "site.yaml"
    assert main(["init", "--site", str(site)]) == 0
    return site


def doctor(
    site: Path, capsys: pytest.CaptureFixture[str], code: int = 3
) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert main(["doctor", "--json", "--site", str(site)]) == code
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
    found = doctor(fresh_site, capsys, code=2)
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


def test_the_examples_key_is_told_since_nobody_has_it(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "hosts.vps.admin_keys" in str(doctor(fresh_site, capsys)["keys of vps"]["todo"])
    text = fresh_site.read_text().replace("REPLACEWITHYOURPUBLICKEYREPLACEWITHYOURP", "me")
    fresh_site.write_text(text)
    assert doctor(fresh_site, capsys)["keys of vps"]["ok"]


def test_names_that_lead_nowhere_or_elsewhere_are_told(
    fresh_site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"cronova.dev": {"104.21.3.4"}, "203.0.113.10": {"203.0.113.10"}}
    monkeypatch.setattr(site_checks, "addresses", lambda name, _: known.get(name, set()))
    found = doctor(fresh_site, capsys)
    assert "Add an A record that points to 203.0.113.10" in str(found["hs.cronova.dev"]["todo"])
    assert found["cronova.dev"]["found"] == "cronova.dev leads to 104.21.3.4, not to the host."


def test_a_root_that_can_not_be_read_is_told(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fresh_site.parent / "root.pem").write_text("no certificate")
    for path in ("root.pem", "gone.pem"):
        shown = fresh_site.read_text().split("network: {}")[0]
        fresh_site.write_text(f"{shown}network: {{extra_root: {fresh_site.parent / path}}}\n")
        told = doctor(fresh_site, capsys)["network.extra_root"]
        assert "no PEM file that can be read" in str(told["found"])
        fresh_site.write_text(shown + "network: {}\n")


def test_a_lost_canary_is_told(fresh_site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing is pinned yet" in str(doctor(fresh_site, capsys)["anchor"]["found"])
    settings = load_settings(fresh_site)
    save_anchor(settings, "cronova.dev", Anchor(server_key="mkey:1"))
    assert "enrols it anew" in str(doctor(fresh_site, capsys)["anchor"]["todo"])


def test_a_new_repository_is_in_order_and_a_vanished_one_is_not(
    fresh_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "the first backup makes it" in str(doctor(fresh_site, capsys)["repository"]["found"])
    verified = VerifiedSnapshot(id="20261123T120000Z", created_at=NOON, facts=FACTS)
    save_anchor(load_settings(fresh_site), "cronova.dev", Anchor(last_verified=verified))
    assert "Is its disk mounted" in str(doctor(fresh_site, capsys)["repository"]["todo"])


def test_the_backups_key_must_be_there_be_private_and_be_declared(
    fresh_site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = (fresh_site.parent / name for name in ("backup_ed25519", "other_ed25519"))
    assert "backup key of vps" not in doctor(fresh_site, capsys)
    declared = f"backup_keys: [{ensure_ssh_key(key)}]"
    fresh_site.write_text(fresh_site.read_text().replace("backup_keys: []", declared))

    def todo(path: Path) -> str:
        monkeypatch.setenv("MESHKEEPER_BACKUP_SSH_KEY", str(path))
        return str(doctor(fresh_site, capsys)["backup key of vps"]["todo"])

    unset = doctor(fresh_site, capsys)["backup key of vps"]["todo"]
    assert "Name its file in MESHKEEPER_BACKUP_SSH_KEY" in str(unset)
    assert todo(key) == ""
    assert "ssh-keygen -N ''" in todo(fresh_site.parent / "gone")
    public = " ".join(ensure_ssh_key(other).split()[:2])
    assert todo(other) == f"Write it there: {public}"
    key.chmod(0o644)
    assert "chmod 600" in todo(key)
