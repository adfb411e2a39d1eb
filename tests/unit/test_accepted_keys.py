"""Keys are asked for without their private halves, before the login and in its connection."""

import pytest
from paramiko import AuthenticationException, ECDSAKey, PKey, RSAKey

from infra.access.accepted_keys import AskedKeys, called
from tests.unit.ssh_server import Sshd, connected

OURS, OTHER, FOREIGN = (ECDSAKey.generate() for _ in range(3))


def line(key: PKey, comment: str = "") -> str:
    return f"{key.get_name()} {key.get_base64()} {comment}".strip()


def test_keys_of_which_we_hold_no_private_half_are_asked_for_before_the_login() -> None:
    elsewhere = RSAKey.generate(2048)
    asked = AskedKeys((line(OURS), line(OTHER), line(elsewhere)))
    with connected(Sshd(line(OURS), line(OTHER), line(elsewhere)), asked.transport) as transport:
        transport.auth_publickey("admin", OURS)
        assert transport.is_authenticated()
    assert asked.refused is None


def test_after_a_refused_key_no_other_is_asked_for_and_the_login_goes_on() -> None:
    sshd = Sshd(line(OURS), line(OTHER))
    asked = AskedKeys((line(OTHER), line(FOREIGN, "me"), line(OURS)))
    with connected(sshd, asked.transport) as transport:
        transport.auth_publickey("admin", OURS)
        assert transport.is_authenticated()
    assert asked.refused == line(FOREIGN, "me")
    assert len(sshd.offered) == len(("OTHER", "FOREIGN", "the login"))


def test_a_second_attempt_to_log_in_asks_no_key_again() -> None:
    sshd = Sshd(line(OURS))
    with connected(sshd, AskedKeys((line(OURS),)).transport) as transport:
        with pytest.raises(AuthenticationException):
            transport.auth_publickey("admin", OTHER)
        transport.auth_publickey("admin", OURS)
    assert len(sshd.offered) == len(("the question", "OTHER", "OURS"))


def test_a_key_is_called_by_its_comment_and_the_fingerprint_that_ssh_keygen_shows() -> None:
    assert called(line(OURS, "you@home, the old one")) == (
        f"you@home, the old one ({OURS.fingerprint})"
    )
    assert called(line(OURS)) == OURS.fingerprint
