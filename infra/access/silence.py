"""A connection that ends when the other end goes silent, which no reset ever tells.

sshd answers a question by itself, however busy its host is, and on a slow link something arrives
now and then. Where nothing does, though an answer is due, nobody is there any more.
"""

import threading
import time
from contextlib import suppress
from socket import socket
from typing import Any

from paramiko import Channel, Message, SSHException, Transport
from paramiko.packet import Packetizer

#: Seconds without a packet after which sshd is asked for a sign of life, and after which we end it.
ASK_AFTER = 15
END_AFTER = 45


class WatchedTransport(Transport):
    """A transport that can be watched for silence; `farewell` is why sshd ended it, in its words.

    (set_keepalive of paramiko's own asks for no answer, and TCP's timeout ends at a proxy.)
    """

    def __init__(self, sock: socket | Channel, **options: Any) -> None:
        super().__init__(sock, packetizer_class=_Listener, **options)
        self._given_up = False
        self.farewell = ""

    @property
    def went_silent(self) -> bool:
        """Whether it ended for that, or a jump host's connection beneath it did."""
        beneath = self.sock.get_transport() if isinstance(self.sock, Channel) else None
        return self._given_up or (isinstance(beneath, WatchedTransport) and beneath.went_silent)

    def _parse_disconnect(self, message: Message) -> None:
        """Keep sshd's own word for why it ends the connection; paramiko only logs it."""
        message.get_int()
        self.farewell = message.get_text()

    def watch(self) -> None:
        """From now on, until it ends."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Seconds in which we ourselves did not run (a machine asleep) don't count."""
        quiet = 0
        while self.is_active():
            time.sleep(1)
            quiet = 0 if self.packetizer.heard() else quiet + 1  # type: ignore[attr-defined]
            if quiet == ASK_AFTER:
                # By itself: where nothing leaves any more, asking takes until the end.
                threading.Thread(target=self._ask, daemon=True).start()
            if quiet == END_AFTER:
                self._given_up = True
                self.close()

    def _ask(self) -> None:
        with suppress(EOFError, OSError, SSHException):
            self.global_request("keepalive@openssh.com", wait=True)


class _Listener(Packetizer):
    """Notes that something arrived."""

    _arrived = False

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        data = super().read_all(n, check_rekey)
        self._arrived = True
        return data

    def heard(self) -> bool:
        """Whether anything arrived since the last time that we asked this."""
        arrived, self._arrived = self._arrived, False
        return arrived
