"""A process that outlives a drill by some seconds, and leaves nothing of it behind.

It holds the read end of a pipe whose write end the drill holds. When the drill ends, in whatever
way (`kill -9` too), the kernel closes that end, and the reaper removes the drill's containers,
networks, volumes and its private folder: there lie the restored keys.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.access.survivor import start_survivor
from infra.drill.cleanup import FOLDER_PREFIX, remove_orphan_folders, remove_world
from infra.drill.world import new_id
from infra.errors import CouldNotRun, DockerUnavailable

#: Seconds that removing everything may take; measured: about one.
LIMIT = 60
#: Seconds after which a killed drill's world is looked for once more.
AFTERWARDS = 3
_DONE = b"done"


class Place:
    """Where one drill happens: its world's id, and its private folder."""

    def __init__(self, world_id: str, folder: Path) -> None:
        self.world_id = world_id
        self.folder = folder


@contextmanager
def place_for_drill(staging: Path) -> Iterator[Place]:
    """A place that is removed with all that was put into it when the block ends, or we die."""
    remove_orphan_folders(staging)
    world_id = new_id()
    folder = staging / f"{FOLDER_PREFIX}{world_id}"
    process = start_survivor("infra.drill.reaper", world_id, str(folder))
    try:
        folder.mkdir(parents=True, mode=0o700)
        yield Place(world_id, folder)
    finally:
        _reap(process, world_id)


def _reap(process: subprocess.Popen[bytes], world_id: str) -> None:
    with suppress(BrokenPipeError, subprocess.TimeoutExpired):
        process.communicate(_DONE, timeout=LIMIT)
    if process.returncode != 0:
        raise CouldNotRun(
            f"Not everything of drill {world_id} could be removed.",
            f"See: docker ps --all --filter label=meshkeeper.drill={world_id}",
        )


def main(world_id: str, folder: Path) -> None:
    """Wait until the drill is over, then remove what it made."""
    killed = sys.stdin.buffer.read() != _DONE
    shutil.rmtree(folder, ignore_errors=True)
    # Without an engine nothing was made, or the next drill finds it.
    with suppress(DockerUnavailable):
        remove_world(world_id)
        if killed:
            # The engine may just have been making something for the drill that is no more.
            time.sleep(AFTERWARDS)
            remove_world(world_id)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
