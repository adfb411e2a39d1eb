"""One command that runs on a host: fed, drained on both streams and bounded in time and size."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from paramiko import Channel

from infra.errors import StepFailed, Unreachable

CHUNK = 64 * 1024
ERRORS_KEPT = 64 * 1024


class RemoteCommand:
    """A started command. Both output streams are read at once, so neither can block the other.

    `chunks` goes to its standard input by `sendall` (Fabric's in_stream takes 10 ms per
    character); `timeout` (seconds) is for all of it.
    """

    def __init__(
        self, channel: Channel, command: str, chunks: Iterable[bytes], timeout: float
    ) -> None:
        self._channel = channel
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._errors = bytearray()
        self._feed_error: BaseException | None = None
        channel.settimeout(timeout)
        channel.exec_command(command)
        self._threads = [
            threading.Thread(target=self._feed, args=(chunks,), daemon=True),
            threading.Thread(target=self._drain_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def output(self) -> Iterator[bytes]:
        """Standard output as it comes. Raises StepFailed at the deadline."""
        yield from self._received(self._channel.recv)

    def end(self) -> tuple[int, bytes]:
        """Exit status, and the last 64 KiB of standard error; call when the output has ended.

        Raises Unreachable when the connection broke, and what reading `chunks` raised.
        """
        for thread in self._threads:
            thread.join(self._remaining())
        self._channel.status_event.wait(self._remaining())
        if self._feed_error is not None:
            raise self._feed_error
        status = self._channel.exit_status
        if status == -1:
            raise Unreachable("The connection broke while a command ran.", "Try again.")
        return status, bytes(self._errors)

    def close(self) -> None:
        self._channel.close()

    def _received(self, receive: Callable[[int], bytes]) -> Iterator[bytes]:
        while True:
            self._channel.settimeout(self._remaining())
            try:
                data = receive(CHUNK)
            except TimeoutError as error:
                raise StepFailed(
                    f"It did not end within {self._timeout:.0f} s.", "See what it waits for."
                ) from error
            if not data:
                return
            yield data

    def _feed(self, chunks: Iterable[bytes]) -> None:
        try:
            for chunk in chunks:
                # In slices: sendall copies all that is left for each packet it sends.
                for start in range(0, len(chunk), CHUNK):
                    self._channel.sendall(chunk[start : start + CHUNK])
            self._channel.shutdown_write()
        except OSError:
            return  # the command ended without reading on: its status tells the rest
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            self._feed_error = error
            self._channel.close()

    def _drain_errors(self) -> None:
        try:
            for data in self._received(self._channel.recv_stderr):
                self._errors += data
                del self._errors[:-ERRORS_KEPT]
        except StepFailed:
            return  # the reader of standard output meets the same deadline

    def _remaining(self) -> float:
        return max(0.01, self._deadline - time.monotonic())
