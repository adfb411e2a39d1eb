"""SSH keys of the lab: its owner's, with which the VPS was ordered, the backup's, and the VPS's own."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization as to
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.access.anchor import write_private


def new_key() -> tuple[bytes, str]:
    """A new ed25519 key: OpenSSH's private file, and the public line without a comment."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(to.Encoding.PEM, to.PrivateFormat.OpenSSH, to.NoEncryption())
    return private, _public(key)


def ensure_ssh_key(path: Path) -> str:
    """Make a key at `path` (0600) if there is none; its public line."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, new_key()[0])
    key = to.load_ssh_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path} holds no ed25519 key")
    return f"{_public(key)} {path.parent.name}@meshkeeper"


def _public(key: Ed25519PrivateKey) -> str:
    line = key.public_key().public_bytes(to.Encoding.OpenSSH, to.PublicFormat.OpenSSH)
    return line.decode()
