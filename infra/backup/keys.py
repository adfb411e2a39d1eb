"""The public half of Headscale's key files: what clients know the server and its relay by."""

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

# The form of both files since Headscale 0.18: tailscale.com/types/key, MachinePrivate as text.
_KEY_FILE = re.compile(rb"privkey:([0-9a-f]{64})\s*")


def public_key(path: Path) -> str | None:
    """64 hex digits of the public key; None when the file holds no private key."""
    match = _KEY_FILE.fullmatch(path.read_bytes())
    if match is None:
        return None
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(match[1].decode()))
    return private.public_key().public_bytes_raw().hex()
