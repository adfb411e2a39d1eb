"""The key that can do nothing but fetch snapshots, against the host's real sshd and sudo."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from infra.access.login import Login, admin_login, backup_login
from infra.access.session import Session
from infra.access.ssh import connect
from infra.backup import collect
from infra.backup.store import ARCHIVE
from infra.errors import BadInput, LoginRefused, StepFailed
from infra.host.apply import apply_change
from infra.host.provision import Target, look, require_in_order, way_in
from infra.planning.host_backup import BACKUP_HOME, BACKUP_KEYS, BACKUP_SUDOERS, FILES
from infra.settings import ENV_FILE
from tests.integration.files import replaced

ACCOUNT = "meshkeeper-backup"
ODD_REQUESTS = [
    "id",
    "sh",
    "report; id",
    "report\nid",
    "report ",
    "$(id)",
    "fetch",
    "fetch ../../etc/shadow",
    "fetch /etc/shadow",
    "fetch /home/linuxuser/backups/headscale/20261123T120000Z.tar",
    "fetch 20261123T120000Z 20261123T120001Z",
    "fetch \u0662\u0660261123T120000Z",
    "fetch 20261123T120000Z\u00a0",
    "fetch\t20261123T120000Z",
    "internal-sftp",
    "/usr/lib/openssh/sftp-server",
    "scp -f /etc/shadow",
    "sudo -n id",
]

pytestmark = pytest.mark.usefixtures("backed_up")


@pytest.fixture
def login(mesh: Lab) -> Login:
    return backup_login(mesh.settings, mesh.site, "vps")


@pytest.fixture
def session(login: Login) -> Iterator[Session]:
    with connect(login) as opened:
        yield opened


@pytest.fixture
def transport(login: Login) -> Iterator[paramiko.Transport]:
    """A connection of its own, for what our sessions can't even ask for."""
    opened = paramiko.Transport((login.address, login.port))
    try:
        opened.connect(username=login.user, pkey=paramiko.PKey.from_path(login.key_file or Path()))
        yield opened
    finally:
        opened.close()


@pytest.fixture
def target(mesh: Lab) -> Target:
    return Target(mesh.settings, mesh.site, "vps")


def asked(transport: paramiko.Transport) -> paramiko.Channel:
    channel = transport.open_session(timeout=10)
    channel.settimeout(20)
    return channel


@pytest.mark.parametrize("request_", ODD_REQUESTS)
def test_what_is_no_request_is_refused_with_one_sentence(session: Session, request_: str) -> None:
    output = session.run(request_)
    assert (output.status, output.stdout) == (1, b"")
    assert output.stderr.startswith(b"refused: ")
    assert output.stderr.count(b"\n") == 1


def test_bytes_that_are_no_text_are_refused(transport: paramiko.Transport) -> None:
    channel = asked(transport)
    channel.exec_command(b"fetch \xff\xfe")  # type: ignore[arg-type]  # it sends what it gets
    assert channel.makefile_stderr().read().startswith(b"refused: ")
    assert channel.recv_exit_status() == 1


def test_a_request_with_a_null_byte_is_not_cut_to_a_good_one(
    transport: paramiko.Transport,
) -> None:
    channel = asked(transport)
    with pytest.raises((paramiko.SSHException, EOFError)):
        channel.exec_command("report\0id")
    assert channel.recv(100) == b""


def test_there_is_no_shell_and_no_terminal(transport: paramiko.Transport) -> None:
    channel = asked(transport)
    channel.invoke_shell()
    channel.sendall(b"id\n")
    assert channel.makefile_stderr().read().startswith(b"refused: ")
    assert channel.recv_exit_status() == 1
    with pytest.raises(paramiko.SSHException):
        asked(transport).get_pty()


def test_there_is_no_file_transfer(transport: paramiko.Transport) -> None:
    with pytest.raises((paramiko.SSHException, EOFError)):
        paramiko.SFTPClient.from_transport(transport)


def test_nothing_is_forwarded_in_either_direction(transport: paramiko.Transport) -> None:
    for place in (("127.0.0.1", 22), ("127.0.0.1", 8080)):
        with pytest.raises(paramiko.ChannelException, match="prohibited"):
            transport.open_channel("direct-tcpip", place, ("127.0.0.1", 0), timeout=10)
    with pytest.raises(paramiko.SSHException):
        transport.request_port_forward("127.0.0.1", 0)


def test_the_account_can_change_nothing_that_binds_it(mesh: Lab) -> None:
    """As if its program had been got round: what then?"""
    for path in (*FILES, f"{BACKUP_HOME}/.ssh/rc", f"{BACKUP_HOME}/x"):
        written = as_account(mesh, f"echo >>{path}")
        assert "Permission denied" in written, path
    for command in ("id", "cat /etc/shadow", "/opt/meshkeeper/backup-requests fetch ../x"):
        assert "password is required" in as_account(mesh, f"sudo -n {command}"), command
    assert "Permission denied" in as_account(mesh, "ls /home/linuxuser/backups/headscale")
    assert "permission denied" in as_account(mesh, "docker ps")


def as_account(mesh: Lab, command: str) -> str:
    """What a shell says that the account does not have."""
    answer = mesh.vps.run("su", "-s", "/bin/sh", ACCOUNT, "-c", command)
    assert answer.status != 0, answer.stdout
    return answer.stderr


def test_both_ways_give_the_same_report_and_the_same_bytes(
    mesh: Lab, session: Session, tmp_path: Path
) -> None:
    host = mesh.site.hosts["vps"]
    fresh = collect.ask(session, host).fresh
    assert fresh is not None
    with connect(admin_login(mesh.settings, mesh.site, "vps")) as admin:
        assert fresh in collect.ask(admin, host).snapshots
        archives = []
        for name, way in (("account", session), ("admin", admin)):
            folder = tmp_path / name
            folder.mkdir()
            collect.fetch(way, host, fresh, folder)
            archives.append((folder / ARCHIVE).read_bytes())
    assert archives[0] == archives[1]
    assert len(archives[0]) > 10_000


def test_a_snapshot_that_is_not_there_fails_in_one_sentence(
    mesh: Lab, session: Session, tmp_path: Path
) -> None:
    with pytest.raises(StepFailed, match=r"snapshot 20010101T000000Z can't be read: No such file"):
        collect.fetch(session, mesh.site.hosts["vps"], "20010101T000000Z", tmp_path)


def test_a_link_in_a_snapshots_place_gives_nothing_of_the_hosts(
    mesh: Lab, session: Session, tmp_path: Path
) -> None:
    """As a sidecar that was taken over would lay it out for root."""
    host, link = mesh.site.hosts["vps"], "20010101T000000Z"
    path = f"/home/linuxuser/backups/headscale/{link}.tar"
    mesh.vps.check("ln", "-s", "/etc/shadow", path)
    try:
        assert link not in collect.ask(session, host).snapshots
        with pytest.raises(StepFailed, match=f"snapshot {link} can't be read"):
            collect.fetch(session, host, link, tmp_path)
    finally:
        mesh.vps.check("rm", path)


def test_a_backup_does_not_need_the_admins_key(mesh: Lab) -> None:
    with without_admins_key(mesh):
        answer, status = ask_meshkeeper(mesh.plan, "plan")
        assert status == BadInput.exit_code, answer
        report = meshkeeper(mesh.plan, "backup")["report"]
    assert report["stored"]
    assert report["problems"] == []


@contextmanager
def without_admins_key(mesh: Lab) -> Iterator[None]:
    path = mesh.plan.directory / ENV_FILE
    with replaced(path, path.read_text().replace(f"{mesh.plan.ssh_key}\n", "/nowhere\n")):
        yield


def changed_back(target: Target) -> str:
    """Make the one change that a look at the host finds; what it was for."""
    (change,) = look(target).plan.changes
    with way_in(target) as session:
        apply_change(session, change, target.admin)
    require_in_order(target)
    return change.summary


def test_what_would_free_the_account_is_seen_and_put_back(mesh: Lab, target: Target) -> None:
    mesh.vps.check("chown", ACCOUNT, f"{BACKUP_HOME}/.ssh")
    assert f"only root may change {BACKUP_KEYS}" in changed_back(target)
    mesh.vps.check("usermod", "--shell", "/bin/bash", "--groups", "docker", ACCOUNT)
    assert "shell and groups" in changed_back(target)
    mesh.vps.check("sh", "-c", f"echo '{ACCOUNT} ALL=(ALL) NOPASSWD: ALL' >>{BACKUP_SUDOERS}")
    assert "its two requests by sudo" in changed_back(target)
    mesh.vps.check("sed", "-i", "s/^restrict.*requests. //", BACKUP_KEYS)
    assert "the declared keys, and no others" in changed_back(target)


def test_without_declared_keys_no_trace_of_the_account_is_left(
    mesh: Lab, target: Target, login: Login
) -> None:
    host = mesh.site.hosts["vps"].model_copy(update={"backup_keys": ()})
    without = target._replace(site=mesh.site.model_copy(update={"hosts": {"vps": host}}))
    try:
        assert "remove the account" in changed_back(without)
        assert mesh.vps.run("id", ACCOUNT).status != 0
        for path in (*FILES, BACKUP_HOME):
            assert mesh.vps.run("test", "-e", path).status == 1
        with pytest.raises(LoginRefused, match="does not accept our key"), connect(login):
            pass
    finally:
        assert "new account" in changed_back(target)
    with connect(login) as session:
        assert collect.ask(session, mesh.site.hosts["vps"]).fresh
