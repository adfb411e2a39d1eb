"""A private key file of the control machine, as it will be used to log in."""

from pathlib import Path

from paramiko import PasswordRequiredException, PKey, SSHException
from paramiko.pkey import UnknownKeyType

from infra.errors import BadInput


def public_half(path: Path) -> str:
    """`ssh-ed25519 AAAA…` of a private key without passphrase, without a comment.

    Raises BadInput where it can't be read, or where a passphrase would be asked for.
    """
    try:
        key = PKey.from_path(path)
    except (PasswordRequiredException, TypeError):  # which of them depends on the file's format
        raise BadInput(
            f"The key {path} has a passphrase.", "Make one without: ssh-keygen -N ''."
        ) from None
    except (OSError, SSHException, UnknownKeyType, ValueError):
        raise BadInput(
            f"{path} can't be read as a private key.", "Name the file without .pub."
        ) from None
    return f"{key.get_name()} {key.get_base64()}"
