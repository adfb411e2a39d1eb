"""An SSH server for tests of logins: no shell, only keys that are taken or refused."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paramiko import AUTH_FAILED, AUTH_SUCCESSFUL, ECDSAKey, PKey, ServerInterface, Transport

from infra.access.private_key import public_line
from infra.access.silence import WatchedTransport


class Sshd(ServerInterface):
    """Lets in by these public keys, and remembers which it was offered.

    `hangs_up_at`: the number of the offer at which it ends the connection.
    """

    def __init__(self, *accepted: str, hangs_up_at: int = 0) -> None:
        self.accepted = accepted
        self.offered: list[str] = []
        self.hangs_up_at = hangs_up_at
        self.transport: Transport | None = None

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        self.offered.append(public_line(key))
        if self.transport and len(self.offered) == self.hangs_up_at:
            self.transport.close()
        return AUTH_SUCCESSFUL if public_line(key) in self.accepted else AUTH_FAILED


@contextmanager
def connected(
    sshd: Sshd, transport: Callable[[socket.socket], WatchedTransport] = WatchedTransport
) -> Iterator[WatchedTransport]:
    """A client's transport, agreed with the server and not yet logged in."""
    ours, theirs = socket.socketpair()
    server, client = Transport(theirs), transport(ours)
    sshd.transport = server
    server.add_server_key(ECDSAKey.generate())
    try:
        server.start_server(server=sshd, event=threading.Event())
        client.start_client(timeout=10)
        yield client
    finally:
        client.close()
        server.close()
