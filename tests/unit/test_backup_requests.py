"""The program that answers a backup's two requests on the host, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.backup import host_requests
from infra.backup.collect import HostReport
from infra.model.site import Host
from infra.planning.host_backup import BACKUP_PROGRAM, program_text

SNAPSHOT = "20261123T120000Z"
HOST = Host(address="203.0.113.10", admin_keys=("ssh-ed25519 AAAA",))
ODD = [
    b"",
    b" report",
    b"report ",
    b"report\n",
    b"REPORT",
    b"report; id",
    b"report\nid",
    b"id",
    b"fetch",
    b"fetch ../../etc/shadow",
    b"fetch /etc/shadow",
    f"fetch {SNAPSHOT}.tar".encode(),
    f"fetch  {SNAPSHOT}".encode(),
    f"fetch {SNAPSHOT} {SNAPSHOT}".encode(),
    f"fetch {SNAPSHOT}\n".encode(),
    f"fetch\t{SNAPSHOT}".encode(),
    f"fetch -- {SNAPSHOT}".encode(),
    "fetch \u0662\u0660261123T120000Z".encode(),
    f"fetch\u00a0{SNAPSHOT}".encode(),
    b"fetch \xff\xfe",
    "\uff52eport".encode(),
    b"/usr/lib/openssh/sftp-server",
    b"scp -f /etc/shadow",
]


class Passed(Exception):
    """What the program became."""


def asked_over_ssh(request: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that the account's program becomes for a request."""

    def become(path: str, argv: list[str]) -> None:
        assert path == "/usr/bin/sudo"
        raise Passed(argv)

    monkeypatch.setattr(os, "geteuid", lambda: 995)
    monkeypatch.setattr(os, "execv", become)
    monkeypatch.setitem(os.environb, b"SSH_ORIGINAL_COMMAND", request)
    with pytest.raises(Passed) as passed:
        host_requests.enter("/nowhere", BACKUP_PROGRAM)
    return list(passed.value.args[0])


def test_the_account_has_its_two_requests_answered_by_root(monkeypatch: pytest.MonkeyPatch) -> None:
    by_sudo = ["sudo", "-n", "--", BACKUP_PROGRAM]
    assert asked_over_ssh(b"report", monkeypatch) == [*by_sudo, "report"]
    fetch = f"fetch {SNAPSHOT}"
    assert asked_over_ssh(fetch.encode(), monkeypatch) == [*by_sudo, "fetch", SNAPSHOT]


@pytest.mark.parametrize("request_", ODD)
def test_anything_else_is_refused_with_one_sentence(
    request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"^refused: .*'report' and 'fetch ID'"):
        asked_over_ssh(request_, monkeypatch)


def test_root_itself_refuses_what_is_neither_request(tmp_path: Path) -> None:
    for request in ODD:
        with pytest.raises(SystemExit, match=r"^refused: "):
            host_requests.answer(tmp_path, request)


def test_a_login_without_a_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 995)
    monkeypatch.delitem(os.environb, b"SSH_ORIGINAL_COMMAND", raising=False)
    with pytest.raises(SystemExit, match=r"^refused: "):
        host_requests.enter("/nowhere", BACKUP_PROGRAM)


def test_a_fetch_gives_the_archives_bytes(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / f"{SNAPSHOT}.tar").write_bytes(content)
    host_requests.answer(tmp_path, f"fetch {SNAPSHOT}".encode())
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == content


def test_a_link_or_a_pipe_in_the_archives_place_is_not_read(tmp_path: Path) -> None:
    """The sidecar writes there, and root reads."""
    request, place = f"fetch {SNAPSHOT}".encode(), tmp_path / f"{SNAPSHOT}.tar"
    with pytest.raises(SystemExit, match="No such file"):
        host_requests.answer(tmp_path, request)
    place.symlink_to("/etc/passwd")
    assert host_requests.snapshots(tmp_path) == {}
    with pytest.raises(SystemExit, match=f"snapshot {SNAPSHOT} can't be read: "):
        host_requests.answer(tmp_path, request)
    place.unlink()
    os.mkfifo(place)
    assert host_requests.snapshots(tmp_path) == {}
    with pytest.raises(SystemExit, match="no plain file"):
        host_requests.answer(tmp_path, request)
    (tmp_path / "last-error").symlink_to("/etc/passwd")
    assert host_requests.beginning(tmp_path / "last-error") == ""


def test_a_report_has_the_form_that_the_control_machine_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when docker says what is no text."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nprintf 'no \\377 such thing' >&2\nexit 1\n")
    docker.chmod(0o700)
    monkeypatch.setattr(host_requests, "DOCKER", str(docker))
    for name in (f"{SNAPSHOT}.tar", "other.tar", f"{SNAPSHOT}.tar.new"):
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "last-own").write_text(f"{SNAPSHOT}\n")

    host_requests.answer(tmp_path, b"report")

    said = HostReport.model_validate_json(capsys.readouterr().out)
    assert (said.snapshots, said.last_own) == ({SNAPSHOT: 5}, SNAPSHOT)
    assert (said.fresh, said.fresh_error) == (None, "no \ufffd such thing")
    assert said.sidecar == "missing"


@pytest.mark.parametrize(
    "program",
    ["exec yes", "exec yes >&2", "exec sleep 60", "exec >&- 2>&-; exec sleep 60"],
)
def test_a_sidecar_that_talks_without_end_or_never_is_ended(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root collects what it says."""
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\n{program}\n")
    docker.chmod(0o700)
    monkeypatch.setattr(host_requests, "DOCKER", str(docker))
    done = host_requests.docker("exec", timeout=1)
    assert done.returncode != 0
    assert done.stderr.startswith("docker exec was ended")
    assert len(done.stdout) <= host_requests.MOST_SAID


def test_an_engine_that_is_not_there_is_part_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_requests, "DOCKER", str(tmp_path / "gone"))
    said = HostReport.model_validate_json(json.dumps(host_requests.report(tmp_path)))
    assert "No such file" in said.fresh_error


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    """Fed to python3 as the admin does it, whoever runs it."""
    command = [sys.executable, "-IS", "-", "odd"]
    program = program_text(HOST).encode()
    done = subprocess.run(command, input=program, capture_output=True, check=False, env={})
    assert done.stderr.startswith(b"refused: ")
