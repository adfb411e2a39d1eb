"""A headscale of the snapshot's version on the restored data."""

import re
import time
from pathlib import Path

from infra.drill.config import CONFIG_PATH, DRILL_MAP, HOME, drill_map, isolated_config
from infra.drill.containers import (
    MEMORY,
    Recipe,
    create,
    ended_for_lack_of_memory,
    execute,
    is_running,
    last_words,
    put,
)
from infra.drill.world import World
from infra.errors import BackupFailed, CouldNotRun, StepFailed
from infra.model.snapshot import CONFIG, REQUIRED_FILES

#: The first restore of the snapshot, and the one that replaces it beneath a running client.
RESTORED, SUCCESSOR = "headscale", "headscale-successor"

#: Seconds; measured: a good one is healthy after 1 s.
START_LIMIT = 60.0
_PAUSE = 0.1

_IMAGE = re.compile(r"^headscale/headscale:[0-9]+\.[0-9]+\.[0-9]+\Z")


def official_image(image: str) -> str:
    """The manifest's image, if it is a released headscale: the host doesn't choose what we run."""
    if not _IMAGE.match(image):
        raise BackupFailed(
            f"The manifest names {image[:80]!r} as image; expected 'headscale/headscale:X.Y.Z'."
        )
    return image


def start(world: World, role: str, image: str, folder: Path) -> None:
    """Start headscale on a copy of the unpacked snapshot in `folder`."""
    recipe = Recipe(
        image=image,
        entrypoint=("headscale",),
        command=("serve",),
        environment={"HEADSCALE_CONFIG": CONFIG_PATH},
        volumes={role: HOME},
    )
    container = create(world, role, recipe)
    files: dict[str, bytes | Path] = {
        name: folder / name for name in REQUIRED_FILES if (folder / name).is_file()
    }
    relays = drill_map(world.host_name, RESTORED).encode()
    put(container, HOME, files | {CONFIG: _config(folder / CONFIG), DRILL_MAP: relays})
    container.start()


def _config(path: Path) -> bytes:
    if not path.is_file():
        raise BackupFailed(f"{CONFIG} is missing, so no server can be configured.")
    return isolated_config(path.read_text(errors="replace")).encode()


def wait_healthy(world: World, role: str) -> str:
    """Wait until the server answers; returns why it ended, or an empty string.

    Raises CouldNotRun for one that still runs, or that this machine ended: slowness and a lack of
    memory are not the backup's.
    """
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if not is_running(world, role):
            if ended_for_lack_of_memory(world, role):
                raise CouldNotRun(
                    f"The restored server needs more than {MEMORY}.", "Give a drill more memory."
                )
            return f"it ended: {last_words(world, role)}"
        try:
            execute(world, role, ("headscale", "health"))
        except StepFailed:
            time.sleep(_PAUSE)
        else:
            return ""
    raise CouldNotRun(
        f"The restored server runs, but was not healthy after {START_LIMIT:.0f} s: "
        f"{last_words(world, role)}",
        "Is this machine busy? Try again.",
    )
