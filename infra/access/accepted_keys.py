"""Which public keys a host would let in: asked without their private halves.

SSH's publickey method has a question before the proof: "would this key do?" (RFC 4252, section 7).
So keys whose private half lies elsewhere can be proved, too.
"""

import base64
import queue
import socket
from collections.abc import Iterable

from paramiko import HostKeys, Message, PKey, SSHException, Transport
from paramiko.auth_handler import AuthHandler
from paramiko.common import (
    MSG_SERVICE_ACCEPT,
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_PK_OK,
    cMSG_USERAUTH_REQUEST,
)

from infra.access.login import Login
from infra.access.session import CONNECT_TIMEOUT
from infra.access.ssh import host_key_mismatch, unreachable

#: An RSA key signs by a newer algorithm than its type's name says.
_ALGORITHMS = {"ssh-rsa": "rsa-sha2-512"}


def refused_keys(login: Login, public_keys: Iterable[str]) -> tuple[str, ...]:
    """Those of `public_keys` (lines of authorized_keys) with which `login.user` would not get in.

    One connection, which ends without a login. Raises HostKeyMismatch, Unreachable.
    """
    try:
        connected = socket.create_connection((login.address, login.port), CONNECT_TIMEOUT)
        transport = Transport(connected)
        try:
            _begin(transport, login)
            question = _Question(transport, login.user)
            question.begin()
            return tuple(key for key in public_keys if not question.would_do(key))
        finally:
            transport.close()
    except (SSHException, EOFError, OSError) as error:
        raise unreachable(login, error) from error


def _begin(transport: Transport, login: Login) -> None:
    """Agree on keys with the host, which must show the pinned one."""
    entry = HostKeys(str(login.known_hosts)).lookup(login.pinned_as)
    pinned: dict[str, PKey] = dict(entry.items()) if entry else {}
    transport.banner_timeout = CONNECT_TIMEOUT
    transport.get_security_options().key_types = tuple(
        _ALGORITHMS.get(kind, kind) for kind in pinned
    )
    transport.start_client(timeout=CONNECT_TIMEOUT)
    shown = transport.get_remote_server_key()
    if shown not in pinned.values():
        raise host_key_mismatch(login, shown.fingerprint)


class _Question(AuthHandler):
    """paramiko's own handler only proves. Answers come from the transport's thread."""

    def __init__(self, transport: Transport, user: str) -> None:
        super().__init__(transport)
        self._user = user
        self._answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        transport.auth_handler = self

    def begin(self) -> None:
        self._request_auth()  # type: ignore[attr-defined]  # paramiko's own, and not public
        self._answer()

    def would_do(self, public_key: str) -> bool:
        """Whether the host would take this key's signature."""
        kind, encoded = public_key.split()[:2]
        try:
            blob = base64.b64decode(encoded)
        except ValueError:
            return False
        asked = Message()
        asked.add_byte(cMSG_USERAUTH_REQUEST)
        for text in (self._user, "ssh-connection", "publickey"):
            asked.add_string(text)
        asked.add_boolean(False)  # a question, no signature follows
        asked.add_string(_ALGORITHMS.get(kind, kind))
        asked.add_string(blob)
        self.transport._send_message(asked)  # type: ignore[attr-defined]  # the same
        return self._answer()

    def _answer(self) -> bool:
        try:
            return self._answers.get(timeout=CONNECT_TIMEOUT)
        except queue.Empty:
            raise SSHException("the host does not answer whether a key would do") from None

    def abort(self) -> None:
        """The connection ended: sshd answers no more after too many keys that would not do."""
        self._answers.put(False)

    @property
    def _client_handler_table(self) -> dict[int, object]:
        return {
            MSG_SERVICE_ACCEPT: lambda _: self._answers.put(True),
            MSG_USERAUTH_PK_OK: lambda _: self._answers.put(True),
            MSG_USERAUTH_FAILURE: lambda _: self._answers.put(False),
            MSG_USERAUTH_BANNER: lambda _: None,
        }
