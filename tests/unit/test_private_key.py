"""A private key file is read as it will be used at night: without anybody to ask."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as to
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from deployments.lab.keys import ensure_ssh_key
from infra.access.private_key import KeyAgent, private_key, public_half, unlocked_key
from infra.errors import BadInput, CouldNotRun

FORMATS = (to.PrivateFormat.OpenSSH, to.PrivateFormat.TraditionalOpenSSL)
NAMES = ("OpenSSH", "PEM")


def test_the_public_half_is_that_of_the_site_file(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    assert ensure_ssh_key(path).startswith(f"{public_half(path)} ")


def with_passphrase(path: Path, form: to.PrivateFormat) -> Path:
    """A key file that can't be used without its passphrase; only OpenSSH's form shows the public half."""
    key = generate_private_key(65537, 2048)
    path.write_bytes(key.private_bytes(to.Encoding.PEM, form, to.BestAvailableEncryption(b"x")))
    path.with_suffix(".pub").write_bytes(
        key.public_key().public_bytes(to.Encoding.OpenSSH, to.PublicFormat.OpenSSH)
    )
    return path


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
def test_a_key_with_a_passphrase_that_no_agent_holds_can_not_be_used(
    tmp_path: Path, form: to.PrivateFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    path = with_passphrase(tmp_path / "key", form)
    assert unlocked_key(path) is None
    with pytest.raises(CouldNotRun, match="has a passphrase, and no SSH agent holds it") as refused:
        private_key(path, KeyAgent())
    assert f"ssh-add {path}" in refused.value.hint


def test_the_public_half_of_a_key_with_a_passphrase_needs_none(tmp_path: Path) -> None:
    path = with_passphrase(tmp_path / "key", to.PrivateFormat.OpenSSH)
    assert public_half(path) == path.with_suffix(".pub").read_text()


def test_an_old_form_that_hides_the_public_half_is_told(tmp_path: Path) -> None:
    path = with_passphrase(tmp_path / "key", to.PrivateFormat.TraditionalOpenSSL)
    with pytest.raises(BadInput, match="can't be read without its passphrase") as refused:
        public_half(path)
    assert f"ssh-keygen -p -f {path}" in refused.value.hint


@pytest.mark.parametrize("content", [b"", b"ssh-ed25519 AAAA me", b"\xff\x00\xfe" * 50])
def test_what_is_no_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pub"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"can't be read as a private key") as refused:
        public_half(path)
    assert "without .pub" in refused.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        public_half(tmp_path / "gone")
