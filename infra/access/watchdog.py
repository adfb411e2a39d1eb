"""A process that outlives us by a moment, and removes a container that must not.

It holds the read end of a pipe whose write end we hold: however we end (`kill -9` too), the
kernel closes that end.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from docker.errors import NotFound

from infra.access.docker import engine
from infra.access.survivor import start_survivor

#: Seconds that removing one container may take.
LIMIT = 60


@contextmanager
def removed_when_we_end(container: str) -> Iterator[None]:
    """The container of that name is gone after the block, and soon after our own death."""
    process = start_survivor("infra.access.watchdog", container)
    try:
        yield
    finally:
        process.communicate(timeout=LIMIT)


def main(container: str) -> None:
    """Wait for the other end of standard input to close, then remove."""
    sys.stdin.buffer.read()
    try:
        engine().containers.get(container).remove(force=True)
    except NotFound:
        return


if __name__ == "__main__":
    main(sys.argv[1])
