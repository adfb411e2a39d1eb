"""One command that runs on a host: fed, drained on both streams and bounded in time and size."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress

from paramiko import Channel, SSHException

from infra.errors import StepFailed, Unreachable

CHUNK = 64 * 1024
ERRORS_KEPT = 64 * 1024


class RemoteCommand:
    """A started command. Both output streams are read at once, so neither can block the other.

    `chunks` goes to its standard input by `sendall` (Fabric's in_stream takes 10 ms per
    character); `timeout` (seconds) is for all of it: a host that answers a byte at a time, or not
    even that it starts the command, does not hold us longer.
    """

    def __init__(
        self, channel: Channel, command: str, chunks: Iterable[bytes], timeout: float
    ) -> None:
        self._channel = channel
        self._timeout = timeout
        self._timed_out = False
        self._errors = bytearray()
        self._feed_error: BaseException | None = None
        self._timer = threading.Timer(timeout, self._give_up)
        self._threads = [
            self._timer,
            threading.Thread(target=self._feed, args=(chunks,)),
            threading.Thread(target=self._drain_errors),
        ]
        for thread in self._threads:
            thread.daemon = True
        self._timer.start()
        try:
            channel.exec_command(command)
        except SSHException:
            self.close()
            self._refuse_if_late()
            raise
        for thread in self._threads[1:]:
            thread.start()

    def output(self) -> Iterator[bytes]:
        """Standard output as it comes. Raises StepFailed at the deadline."""
        yield from iter(lambda: self._channel.recv(CHUNK), b"")
        self._refuse_if_late()

    def end(self) -> tuple[int, bytes]:
        """Exit status, and the last 64 KiB of standard error; call when the output has ended.

        Raises StepFailed at the deadline, Unreachable when the connection broke, and what reading
        `chunks` raised.
        """
        for thread in self._threads[1:]:
            thread.join()
        self._channel.status_event.wait()
        if self._feed_error is not None:
            raise self._feed_error
        self._refuse_if_late()
        status = self._channel.exit_status
        if status == -1:
            raise Unreachable("The connection broke while a command ran.", "Try again.")
        return status, bytes(self._errors)

    def close(self) -> None:
        self._timer.cancel()
        self._close_channel()

    def _give_up(self) -> None:
        """Closing the channel wakes everybody who waits for it."""
        self._timed_out = True
        self._close_channel()

    def _close_channel(self) -> None:
        # It is closed on our side before the host is told, which fails once the connection is gone:
        # whom the closing woke may have ended that already.
        with suppress(EOFError, OSError, SSHException):
            self._channel.close()

    def _refuse_if_late(self) -> None:
        if self._timed_out:
            raise StepFailed(
                f"It did not end within {self._timeout:.0f} s.", "See what it waits for."
            )

    def _feed(self, chunks: Iterable[bytes]) -> None:
        try:
            for chunk in chunks:
                # In slices: sendall copies all that is left for each packet it sends.
                for start in range(0, len(chunk), CHUNK):
                    self._channel.sendall(chunk[start : start + CHUNK])
            self._channel.shutdown_write()
        except (EOFError, OSError, SSHException):
            return  # the command or the connection ended: its status tells the rest
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            self._feed_error = error
            self._close_channel()

    def _drain_errors(self) -> None:
        for data in iter(lambda: self._channel.recv_stderr(CHUNK), b""):
            self._errors += data
            del self._errors[:-ERRORS_KEPT]
