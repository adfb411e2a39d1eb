"""Keys are asked for without their private halves, before the login and in its connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from paramiko import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    AuthenticationException,
    ECDSAKey,
    PKey,
    RSAKey,
    ServerInterface,
    Transport,
)

from infra.access.accepted_keys import AskedKeys, called

OURS, OTHER, FOREIGN = (ECDSAKey.generate() for _ in range(3))


class Sshd(ServerInterface):
    """Lets in by the keys that it was given, and counts how often it is asked."""

    def __init__(self, *keys: PKey) -> None:
        self.keys = keys
        self.asked = 0

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        self.asked += 1
        return AUTH_SUCCESSFUL if key in self.keys else AUTH_FAILED


@contextmanager
def connected(sshd: Sshd, asked: AskedKeys) -> Iterator[Transport]:
    ours, theirs = socket.socketpair()
    server, client = Transport(theirs), asked.transport(ours)
    server.add_server_key(ECDSAKey.generate())
    try:
        server.start_server(server=sshd, event=threading.Event())
        client.start_client(timeout=10)
        yield client
    finally:
        client.close()
        server.close()


def line(key: PKey, comment: str = "") -> str:
    return f"{key.get_name()} {key.get_base64()} {comment}".strip()


def test_keys_of_which_we_hold_no_private_half_are_asked_for_before_the_login() -> None:
    elsewhere = RSAKey.generate(2048)
    asked = AskedKeys((line(OURS), line(OTHER), line(elsewhere)))
    with connected(Sshd(OURS, OTHER, elsewhere), asked) as transport:
        transport.auth_publickey("admin", OURS)
        assert transport.is_authenticated()
    assert asked.refused is None


def test_after_a_refused_key_no_other_is_asked_for_and_the_login_goes_on() -> None:
    sshd = Sshd(OURS, OTHER)
    asked = AskedKeys((line(OTHER), line(FOREIGN, "me"), line(OURS)))
    with connected(sshd, asked) as transport:
        transport.auth_publickey("admin", OURS)
        assert transport.is_authenticated()
    assert asked.refused == line(FOREIGN, "me")
    assert sshd.asked == len(("OTHER", "FOREIGN", "the login"))


def test_a_second_attempt_to_log_in_asks_no_key_again() -> None:
    sshd = Sshd(OURS)
    with connected(sshd, AskedKeys((line(OURS),))) as transport:
        with pytest.raises(AuthenticationException):
            transport.auth_publickey("admin", OTHER)
        transport.auth_publickey("admin", OURS)
    assert sshd.asked == len(("the question", "OTHER", "OURS"))


def test_a_key_is_called_by_its_comment_and_the_fingerprint_that_ssh_keygen_shows() -> None:
    assert called(line(OURS, "you@home, the old one")) == (
        f"you@home, the old one ({OURS.fingerprint})"
    )
    assert called(line(OURS)) == OURS.fingerprint
