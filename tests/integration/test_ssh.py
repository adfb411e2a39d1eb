"""The one way to a host, against a real sshd."""

import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from deployments.lab.keys import ensure_ssh_key
from deployments.lab.link import Link, link_to
from infra.access import silence
from infra.access.host_keys import pin_host_key
from infra.access.login import Login
from infra.access.session import Session
from infra.access.ssh import connect
from infra.errors import (
    BadInput,
    CouldNotRun,
    HostKeyMismatch,
    LoginRefused,
    StepFailed,
    Unreachable,
)

OTHER_KEY = "SHA256:" + "A" * 43
MEBIBYTE = 1024 * 1024


@pytest.fixture
def pinned(bare_host: Callable[..., object]) -> Login:
    return _delivered(bare_host)


@pytest.fixture
def session(pinned: Login) -> Iterator[Session]:
    with connect(pinned) as opened:
        yield opened


def _delivered(bare_host, *, pin: bool = True) -> Login:
    host = bare_host("ssh")
    login = Login(
        name="vps",
        address=host.address,
        user="root",
        known_hosts=host.ssh_key.with_name("known_hosts"),
        key_file=host.ssh_key,
    )
    if pin:
        assert pin_host_key(login, host.host_key)
    return login


def test_no_key_is_trusted_that_was_not_pinned(bare_host) -> None:
    login = _delivered(bare_host, pin=False)
    with pytest.raises(BadInput, match="No host key is pinned"), connect(login):
        pass
    with pytest.raises(BadInput, match=r"It shows SHA256:.*hosts\.vps\.host_key"):
        pin_host_key(login, None)
    both = rf"expected is {re.escape(OTHER_KEY)}\. .*installed anew.*somebody stands between"
    with pytest.raises(HostKeyMismatch, match=both):
        pin_host_key(login, OTHER_KEY)
    assert not login.known_hosts.exists()


def test_a_pinned_key_that_changed_stops_the_connection(pinned: Login) -> None:
    name, kind, _ = pinned.known_hosts.read_text().split()
    another = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
    pinned.known_hosts.write_text(f"{name} {kind} {another}\n")
    with pytest.raises(HostKeyMismatch, match="somebody stands between"), connect(pinned):
        pass


def test_a_refused_key_is_not_a_lost_connection(pinned: Login) -> None:
    stranger = pinned.model_copy(update={"user": "nobody"})
    with pytest.raises(LoginRefused, match="does not accept our key"), connect(stranger):
        pass


def test_a_closed_port_names_the_host_and_what_to_check(pinned: Login) -> None:
    with pinned.known_hosts.open("a") as stream:
        stream.write(
            pinned.known_hosts.read_text().replace(pinned.address, f"[{pinned.address}]:9")
        )
    closed = pinned.model_copy(update={"port": 9})
    with (
        pytest.raises(Unreachable, match=r"vps \(root@.*does a firewall allow it"),
        connect(closed),
    ):
        pass


@pytest.fixture
def behind_jump(bare_host, pinned: Login) -> Login:
    """The pinned host once more, as reached through another one that takes the same key."""
    delivered = bare_host("jump")
    ours = ensure_ssh_key(pinned.key_file)
    delivered.machine.write("/root/.ssh/authorized_keys", f"{ours}\n".encode(), 0o600)
    jump = pinned.model_copy(update={"name": "vps.jump", "address": delivered.address})
    behind = pinned.model_copy(update={"jump": jump})
    pinned.known_hosts.unlink()
    with pytest.raises(BadInput, match=r"pinned for vps\.jump .*hosts\.vps\.jump\.host_key"):
        pin_host_key(behind, OTHER_KEY)
    with pytest.raises(HostKeyMismatch, match=r"vps\.jump .* shows the host key"):
        pin_host_key(jump, OTHER_KEY)
    assert pin_host_key(jump, delivered.host_key)
    return behind


def test_a_host_behind_a_jump_host_is_reached_from_there_alone(behind_jump: Login) -> None:
    with pytest.raises(BadInput, match=r"pinned for vps \("), connect(behind_jump):
        pass
    with pytest.raises(HostKeyMismatch, match=r"vps \(.* through vps\.jump\)"):
        pin_host_key(behind_jump, OTHER_KEY)
    with pytest.raises(BadInput) as shown:
        pin_host_key(behind_jump, None)
    assert pin_host_key(behind_jump, shown.value.message.split()[-1].rstrip("."))
    with connect(behind_jump) as session:
        came_from = session.check("who", "echo $SSH_CLIENT").split()[0]
    assert came_from.decode() == behind_jump.jump.address


def test_an_error_says_whether_it_is_the_jump_host_that_failed(behind_jump: Login) -> None:
    closed = behind_jump.model_copy(update={"port": 9})
    with pytest.raises(Unreachable, match=r"jump host vps\.jump .* opens no connection to vps"):
        pin_host_key(closed, OTHER_KEY)
    stranger = behind_jump.jump.model_copy(update={"user": "nobody"})
    line = behind_jump.known_hosts.read_text()
    with behind_jump.known_hosts.open("a") as stream:
        stream.write(line.replace(behind_jump.jump.address, behind_jump.address))
    refused = pytest.raises(CouldNotRun, match=r"vps\.jump \(nobody@.* does not accept our key")
    with refused as error, connect(behind_jump.model_copy(update={"jump": stranger})):
        pass
    assert not isinstance(error.value, LoginRefused)


def test_both_streams_are_drained_and_bounded(session: Session) -> None:
    flood = "head -c 9000000 /dev/zero; head -c 9000000 /dev/zero >&2; exit 3"
    output = session.run(flood)
    assert output.status == 3
    assert (len(output.stdout), output.dropped) == (MEBIBYTE, 9_000_000 - MEBIBYTE)
    assert len(output.stderr) == 64 * 1024


def test_a_failed_step_tells_host_step_and_its_last_words(session: Session) -> None:
    with pytest.raises(StepFailed, match="vps: greet failed with exit status 4: good bye"):
        session.check("greet", "echo good bye >&2; exit 4")


def test_a_step_that_hangs_ends_at_its_timeout(session: Session) -> None:
    with pytest.raises(StepFailed, match="did not end within 1 s"):
        session.check("wait", "sleep 20", timeout=1)


def test_a_step_that_drips_ends_at_its_timeout_too(session: Session) -> None:
    drip = "while sleep 0.1; do echo; echo >&2; done"
    with pytest.raises(StepFailed, match="did not end within 1 s"):
        session.check("wait", drip, timeout=1)
    assert session.check("go on", "echo still here") == b"still here\n"


def test_a_stream_that_never_ends_names_host_and_step(session: Session) -> None:
    stream = session.receive("fetch", "while sleep 0.1; do echo; done", limit=1_000_000, timeout=1)
    with pytest.raises(StepFailed, match="vps: fetch: It did not end within 1 s"):
        list(stream)


def test_a_host_that_sends_too_much_is_cut_off(session: Session) -> None:
    with pytest.raises(StepFailed, match="more than 1000000 bytes"):
        list(session.receive("fetch", "cat /dev/zero", limit=1_000_000))


def test_what_is_streamed_in_and_out_is_whole(session: Session) -> None:
    chunks = [bytes([number]) * 300_000 for number in range(40)]
    session.send("put", "cat >/tmp/put", chunks)
    assert b"".join(session.receive("get", "cat /tmp/put", limit=20_000_000)) == b"".join(chunks)


def test_a_command_that_does_not_read_its_input_does_not_hang(session: Session) -> None:
    assert session.send("ignore", "echo done", [b"x" * 100_000] * 100) == b"done\n"


def test_a_host_that_dies_is_unreachable(bare_host, pinned: Login) -> None:
    with connect(pinned) as session, pytest.raises(Unreachable, match=r"vps: die: .* broke"):
        session.check("die", "sleep 0.2; pkill -KILL sshd-session; sleep 20", timeout=30)


@pytest.fixture
def behind_link(pinned: Login, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Link, Login]]:
    """The same host over a link with faults; silence counts after some seconds."""
    monkeypatch.setattr(silence, "ASK_AFTER", 1)
    monkeypatch.setattr(silence, "END_AFTER", 4)
    with link_to(f"{pinned.address}:22") as link:
        known = pinned.known_hosts.read_text().split(maxsplit=1)[1]
        pinned.known_hosts.write_text(f"[127.0.0.1]:{link.port} {known}")
        yield link, pinned.model_copy(update={"address": "127.0.0.1", "port": link.port})


def test_a_link_gone_silent_is_noticed_long_before_the_deadline(behind_link) -> None:
    link, login = behind_link
    silent = pytest.raises(Unreachable, match=r"vps: wait: .*127\.0\.0\.1.* went silent for 4 s")
    with connect(login) as session, silent:
        threading.Timer(1, link.silence).start()
        began = time.monotonic()
        session.check("wait", "sleep 100", timeout=90)
    assert 4 < time.monotonic() - began < 10


def test_a_link_gone_silent_is_noticed_while_much_is_sent(behind_link) -> None:
    """What is sent fills all buffers then, and a question would not leave any more."""
    link, login = behind_link
    silent = pytest.raises(Unreachable, match=r"vps: put: .*went silent for 4 s")
    with connect(login) as session, silent:
        threading.Timer(0.5, link.silence).start()
        session.send("put", "cat >/dev/null", iter(lambda: b"x" * MEBIBYTE, b""), timeout=90)


def test_a_host_that_is_busy_and_says_nothing_is_not_taken_for_dead(behind_link) -> None:
    _, login = behind_link
    busy = "for i in 1 2 3 4; do timeout 9 sh -c 'while :; do :; done' & done; wait; echo done"
    with connect(login) as session:
        assert session.check("work", busy, timeout=60) == b"done\n"


def test_a_link_that_is_far_and_narrow_is_not_taken_for_dead(behind_link) -> None:
    link, login = behind_link
    with connect(login) as session:
        link.delay(500)
        link.narrow(40)
        session.send("put", "cat >/tmp/put", [b"x" * 400_000], timeout=60)
        assert session.check("far", "sleep 6; echo done") == b"done\n"
