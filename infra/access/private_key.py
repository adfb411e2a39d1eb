"""Our private keys: those of files, and those of an SSH agent, which holds the ones with passphrases."""

import base64
import binascii
import re
from functools import cached_property
from pathlib import Path

from paramiko import Agent, AgentKey, Message, PasswordRequiredException, PKey, SSHException
from paramiko.pkey import UnknownKeyType

from infra.errors import BadInput, CouldNotRun

#: OpenSSH's own format, in which the public half is never encrypted. Source: its PROTOCOL.key.
_OPENSSH = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.+)-----END", re.DOTALL)
_MAGIC = b"openssh-key-v1\0"


class KeyAgent:
    """The SSH agent, asked only when it is needed: some then ask their owner. Its keys sign until `close`."""

    @cached_property
    def _agent(self) -> Agent | None:
        try:
            return Agent()
        except (SSHException, OSError):
            return None

    @property
    def keys(self) -> tuple[AgentKey, ...]:
        """None where no agent answers."""
        return tuple(self._agent.get_keys()) if self._agent else ()

    def close(self) -> None:
        if "_agent" in self.__dict__ and self._agent:
            self._agent.close()


def private_key(path: Path, agent: KeyAgent) -> PKey:
    """The key in a file; one with a passphrase is the agent's, if that has it.

    Raises BadInput where it can't be read, CouldNotRun where nobody here knows the passphrase.
    """
    if key := unlocked_key(path):
        return key
    public = _public_blob(path)
    for held in agent.keys:
        if held.blob == public:
            return held
    raise CouldNotRun(
        f"The key {path} has a passphrase, and no SSH agent holds it.",
        f"Start an agent where it does not run, and give it the key: ssh-add {path}",
    )


def unlocked_key(path: Path) -> PKey | None:
    """The key in a file, None where it has a passphrase. Raises BadInput where it can't be read."""
    try:
        return PKey.from_path(path)
    except (PasswordRequiredException, TypeError):  # which of them depends on the file's format
        return None
    except (OSError, SSHException, UnknownKeyType, ValueError):
        raise BadInput(
            f"{path} can't be read as a private key.", "Name the file without .pub."
        ) from None


def public_half(path: Path) -> str:
    """`ssh-ed25519 AAAA…` of a private key, without a comment; of one with a passphrase, too.

    Raises BadInput where it can't be read.
    """
    if key := unlocked_key(path):
        return public_line(key)
    blob = _public_blob(path)
    if not blob:
        raise BadInput(
            f"The public half of {path} can't be read without its passphrase.",
            f"Write it anew in OpenSSH's format: ssh-keygen -p -f {path}",
        )
    return f"{Message(blob).get_text()} {base64.b64encode(blob).decode()}"


def public_line(key: PKey) -> str:
    """A key as a site file names it, without a comment."""
    return f"{key.get_name()} {key.get_base64()}"


def _public_blob(path: Path) -> bytes:
    """The public half as SSH sends it, of a file with a passphrase; empty where it can't be read."""
    found = _OPENSSH.search(path.read_bytes())
    try:
        content = base64.b64decode(found[1]) if found else b""
    except binascii.Error:
        return b""
    if not content.startswith(_MAGIC):
        return b""
    fields = Message(content[len(_MAGIC) :])
    for _ in ("cipher", "key derivation", "its options"):
        fields.get_string()
    fields.get_int()  # how many keys: always one
    return fields.get_string()
