"""A private key file is read as it will be used at night: without anybody to ask."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as to
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from deployments.lab.keys import ensure_ssh_key
from infra.access.private_key import public_half
from infra.errors import BadInput


def test_the_public_half_is_that_of_the_site_file(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    assert ensure_ssh_key(path).startswith(f"{public_half(path)} ")


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (Ed25519PrivateKey.generate(), to.PrivateFormat.OpenSSH),
        (generate_private_key(65537, 2048), to.PrivateFormat.TraditionalOpenSSL),
    ],
    ids=["OpenSSH", "PEM"],
)
def test_a_passphrase_is_refused(
    tmp_path: Path, key: Ed25519PrivateKey | RSAPrivateKey, form: to.PrivateFormat
) -> None:
    path = tmp_path / "key"
    path.write_bytes(key.private_bytes(to.Encoding.PEM, form, to.BestAvailableEncryption(b"x")))
    with pytest.raises(BadInput, match="has a passphrase"):
        public_half(path)


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
