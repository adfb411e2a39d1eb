"""Programs that the control machine itself needs: restic."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from infra.errors import ImageUnavailable, ToolMissing
from infra.images.catalog import RESTIC
from infra.images.golang import build_programs

#: The first restic whose exit codes tell a wrong password (12) from a missing repository (10).
OLDEST = (0, 17, 1)


@cache
def restic_path() -> Path:
    """The system's restic if it is 0.17.1 or newer, else our own, built at its first use (1 min).

    Raises `ToolMissing`.
    """
    found = shutil.which("restic")
    if found and _version(Path(found)) >= OLDEST:
        return Path(found)
    try:
        return build_programs(RESTIC) / "restic"
    except ImageUnavailable as error:
        raise ToolMissing(
            f"restic 0.17.1 or newer is missing and can't be built: {error.message}",
            "Install it from your distribution's backports, or try again with a network.",
        ) from error


def _version(restic: Path) -> tuple[int, ...]:
    """(0, 18, 0); all zeros where the program does not say."""
    try:
        said = subprocess.run(
            [str(restic), "version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0, 0)
    match = re.search(r"restic (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in match.groups()) if match else (0, 0, 0)
