"""A session that carries the right to change a host, over SSH, to a host that is this machine."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from paramiko import AUTH_SUCCESSFUL, OPEN_SUCCEEDED, Channel

from infra.access.session import Session
from infra.errors import LockLost, StepFailed
from infra.host import lock
from tests.unit.lock_host import LocalSession, lock_in
from tests.unit.ssh_server import Sshd, connected


class Shell(Sshd):
    """Lets everybody in, and runs what it is asked to."""

    def check_auth_none(self, username: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: Channel, command: bytes) -> bool:
        # A moment later: its end must not come before the answer that this is.
        begin = threading.Timer(0.1, serve, args=(channel, command.decode()))
        begin.daemon = True
        begin.start()
        return True


def serve(channel: Channel, command: str) -> None:
    """As sshd does it: what comes goes to the program, for as long as that reads."""
    with (
        suppress(OSError),  # who asked has left, or the program did not read all
        subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program,
    ):
        assert program.stdin
        threading.Thread(target=feed, args=(channel, program.stdin), daemon=True).start()
        assert program.stdout
        assert program.stderr
        channel.sendall(program.stdout.read())
        channel.sendall_stderr(program.stderr.read())
        channel.send_exit_status(program.wait())
        channel.close()


def feed(channel: Channel, stdin: Any) -> None:
    try:
        while data := channel.recv(65_536):
            stdin.write(data)
        stdin.close()
    except (OSError, ValueError):
        return  # it has ended


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session with a lock that it holds."""
    lock_in(tmp_path / "lock", monkeypatch)
    claim = lock.new_claim("provision vps", "quick-fox", 60)
    with connected(Shell()) as transport:
        transport.auth_none("root")
        session = Session(LocalSession(claim.token).login, transport)
        lock.take(session, claim)
        yield session


def test_a_holder_sends_and_receives_as_ever(opened: Session) -> None:
    assert opened.check("cat", opened.as_root("cat"), stdin=b"input") == b"input"
    assert opened.send("cat", opened.as_root("cat"), [b"a", b"b"]) == b"ab"
    assert b"".join(opened.receive("cat", opened.as_root("echo c"), 10)) == b"c\n"
    with pytest.raises(StepFailed, match="vps: fail failed with exit status 7"):
        opened.check("fail", opened.as_root("sh -c 'exit 7'"))


SENDS: dict[str, Callable[[Session, str], object]] = {
    "run": lambda session, command: session.run(command),
    "check": lambda session, command: session.check("sh", command, stdin=b"x" * 100_000),
    "send": lambda session, command: session.send("sh", command, iter([b"x" * 100_000] * 50)),
    "receive": lambda session, command: list(session.receive("sh", command, 100)),
}


@pytest.mark.parametrize("how", SENDS)
def test_whoever_lost_the_lock_is_refused_however_it_sends(
    opened: Session, tmp_path: Path, how: str
) -> None:
    lock.release(opened, opened.login.lock_token)
    with pytest.raises(LockLost, match=r"^vps: sh: not done.*somebody removed it"):
        SENDS[how](opened, opened.as_root(f"touch {tmp_path}/touched"))
    assert not (tmp_path / "touched").exists()


def test_reading_without_the_lock_goes_on(opened: Session) -> None:
    other = opened.login.model_copy(update={"lock_token": ""})
    reading = Session(other, opened._transport)
    assert reading.check("id", reading.as_root("echo read")) == b"read\n"
