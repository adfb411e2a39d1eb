"""A command's end, where the connection is already gone."""

import threading

import pytest

from infra.access.remote_command import RemoteCommand
from infra.errors import StepFailed


class GoneConnection:
    """The channel of a connection that is gone: closing wakes its readers, and then fails."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def exec_command(self, command: str) -> None:
        pass

    def recv(self, size: int) -> bytes:
        assert self.closed.wait(10)
        return b""

    recv_stderr = recv

    def shutdown_write(self) -> None:
        pass

    def close(self) -> None:
        self.closed.set()
        raise EOFError


def test_a_deadline_on_a_connection_that_is_gone_raises_in_no_other_thread() -> None:
    """An exception in the timer's thread would make pytest fail."""
    running = RemoteCommand(GoneConnection(), "sleep 9", [], timeout=0.1)  # type: ignore[arg-type]
    with pytest.raises(StepFailed, match="did not end within"):
        list(running.output())
    running.close()
