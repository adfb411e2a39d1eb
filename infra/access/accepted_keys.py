"""Which public keys sshd would accept, asked in the very connection that then logs in.

SSH's publickey method has a query without a signature (RFC 4252, section 7), so it can be asked for
keys whose private halves are elsewhere. paramiko knows the answer's number only by another name.
"""

import base64
import binascii
import hashlib
import threading
from collections.abc import Callable, Iterable
from socket import socket
from typing import Any

from paramiko import AuthenticationException, Channel, Message, PKey, Transport
from paramiko.auth_handler import AuthHandler
from paramiko.common import MSG_USERAUTH_INFO_REQUEST, cMSG_USERAUTH_REQUEST

from infra.access.silence import WatchedTransport

#: Its number means another thing in another method (RFC 4252 and RFC 4256).
MSG_USERAUTH_PK_OK = MSG_USERAUTH_INFO_REQUEST
#: The algorithm that a key of this type signs with; any other is called like the type.
SIGNED_BY = {"ssh-rsa": "rsa-sha2-512"}


class AskedKeys:
    """Public keys to ask for, and after the login the first that was `refused`.

    An accepted key costs nothing. A refused one is a failure for sshd (MaxAuthTries), so no other
    is asked for after it; and it is forgiven once the login succeeds, so that goes on.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._unasked = list(keys)
        self.refused: str | None = None

    def transport(self, sock: socket | Channel, **options: Any) -> WatchedTransport:
        """A transport that asks before it logs in: a `transport_factory` of paramiko's client."""
        return _AskingTransport(self, sock, **options)

    def ask(self, transport: Transport, user: str) -> None:
        """Ask for those that were not asked for yet. Raises SSHException without an answer."""
        while self._unasked and self.refused is None:
            key = self._unasked.pop(0)
            if not _Query(transport, user, key).accepted():
                self.refused = key


def called(key: str) -> str:
    """A public key for people: its comment and its fingerprint."""
    comment = " ".join(key.split()[2:])
    digest = base64.b64encode(hashlib.sha256(_blob(key)).digest()).decode().rstrip("=")
    return f"{comment} (SHA256:{digest})" if comment else f"SHA256:{digest}"


class _AskingTransport(WatchedTransport):
    """paramiko's client logs in only after it has checked the host key: that is when we ask."""

    def __init__(self, asked: AskedKeys, sock: socket | Channel, **options: Any) -> None:
        super().__init__(sock, **options)
        self._asked = asked

    def auth_publickey(
        self, username: str, key: PKey, event: threading.Event | None = None
    ) -> list[str]:
        self._asked.ask(self, username)
        return super().auth_publickey(username, key, event)


class _Query(AuthHandler):
    """One question for one key, in place of an attempt to log in."""

    def __init__(self, transport: Transport, user: str, key: str) -> None:
        super().__init__(transport)
        self._user = user
        self._key = key
        self._answer: bool | None = None

    def accepted(self) -> bool:
        """Raises SSHException when the connection ends or no answer comes in time."""
        answered = threading.Event()
        with self.transport.lock:
            self.auth_event = answered
            self.auth_method = "publickey"
            self.transport.auth_handler = self
            self._request_auth()  # type: ignore[attr-defined]  # not in the stubs
        try:
            self.wait_for_response(answered)
        except AuthenticationException:
            # The handler knows no answer but a login: with ours it reports that there was none.
            if self._answer is None:
                raise
        return bool(self._answer)

    @property
    def _client_handler_table(self) -> dict[int, Callable[[Message], None]]:
        table = super()._client_handler_table  # type: ignore[misc]
        return {**table, MSG_USERAUTH_PK_OK: self._parse_pk_ok}

    def _parse_service_accept(self, _: Message) -> None:
        kind = self._key.split()[0]
        question = Message()
        question.add_byte(cMSG_USERAUTH_REQUEST)
        for part in (self._user, "ssh-connection", "publickey"):
            question.add_string(part)
        question.add_boolean(False)
        question.add_string(SIGNED_BY.get(kind, kind))
        question.add_string(_blob(self._key))
        self.transport._send_message(question)  # type: ignore[attr-defined]

    def _parse_pk_ok(self, _: Message) -> None:
        self._end(accepted=True)

    def _parse_userauth_failure(self, _: Message) -> None:
        self._end(accepted=False)

    def _end(self, *, accepted: bool) -> None:
        self._answer = accepted
        self.abort()


def _blob(key: str) -> bytes:
    """The key as SSH sends it; nothing for what is no key, which sshd refuses."""
    try:
        return base64.b64decode(key.split()[1], validate=True)
    except binascii.Error:
        return b""
