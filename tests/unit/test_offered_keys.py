"""Which keys a login offers: one after the other, in one connection."""

from pathlib import Path

import pytest
from paramiko import SSHException

from deployments.lab.keys import ensure_ssh_key
from infra.access.login import Login
from infra.access.offered_keys import OfferedKeys, found_keys
from infra.access.private_key import KeyAgent, public_half, public_line
from infra.errors import LoginRefused
from tests.unit.ssh_server import Sshd, connected


@pytest.fixture
def login(tmp_path: Path) -> Login:
    """With a new key and a previous one."""
    for name in ("new", "old"):
        ensure_ssh_key(tmp_path / name)
    return Login(
        name="vps",
        address="203.0.113.10",
        user="admin",
        known_hosts=tmp_path / "known_hosts",
        key_file=tmp_path / "new",
        previous_key_file=tmp_path / "old",
    )


def test_the_previous_key_is_offered_where_the_new_one_is_refused(login: Login) -> None:
    new, old = public_half(login.key_file), public_half(login.previous_key_file)
    sshd = Sshd(old)
    with connected(sshd) as transport:
        used = OfferedKeys(login).authenticate(transport)
    assert sshd.offered == [new, old]
    assert (used.key_file, used.previous_key_file) == (login.previous_key_file, None)


def test_a_previous_key_that_is_gone_does_not_matter_once_the_new_one_opens(login: Login) -> None:
    sshd = Sshd(public_half(login.key_file))
    login.previous_key_file.unlink()
    with connected(sshd) as transport:
        used = OfferedKeys(login).authenticate(transport)
    assert (used.key_file, used.previous_key_file) == (login.key_file, None)


def test_a_refusal_names_each_key_that_was_offered(login: Login) -> None:
    refused = pytest.raises(LoginRefused, match=r"accept our key .*new and .*old")
    with connected(Sshd("none")) as transport, refused:
        OfferedKeys(login).authenticate(transport)


@pytest.mark.parametrize("offer", [1, 2])
def test_a_connection_that_breaks_meanwhile_is_no_refusal(login: Login, offer: int) -> None:
    """Or the next user would be tried, and the confirmation of a change given up."""
    sshd = Sshd("none", hangs_up_at=offer)
    with connected(sshd) as transport, pytest.raises(SSHException):
        OfferedKeys(login).authenticate(transport)
    assert len(sshd.offered) == offer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / ".ssh"


def test_of_the_keys_found_the_declared_one_comes_first(home: Path) -> None:
    keys = [ensure_ssh_key(home / name) for name in ("id_ed25519", "id_rsa")]
    for declared in keys:
        found = [public_line(key) for key in found_keys(KeyAgent(), (declared,))]
        assert len(found) == len(keys)
        assert declared.startswith(found[0])


def test_a_file_that_is_no_key_is_passed_over(home: Path) -> None:
    ensure_ssh_key(home / "id_ed25519")
    (home / "id_rsa").touch()
    assert len(found_keys(KeyAgent(), ())) == 1


def test_without_any_key_nobody_is_asked(home: Path, login: Login) -> None:
    sshd, keyless = Sshd("none"), login.by(None)
    with connected(sshd) as transport, pytest.raises(LoginRefused, match="no key to offer to vps"):
        OfferedKeys(keyless).authenticate(transport)
    assert sshd.offered == []
