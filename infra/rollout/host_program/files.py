"""A release's files in their place."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from infra.rollout.host_program.disk import replace
from infra.rollout.host_program.places import SECRETS, Request


def put_files(request: Request, files: dict[str, bytes], instead_of: Iterable[str]) -> None:
    """Each file whole, those that are so already not at all; of the others there, these go."""
    folder = Path(request["directory"])
    if any(path.startswith(SECRETS) for path in files):
        (folder / SECRETS).mkdir(exist_ok=True, mode=0o700)  # also for those of an earlier release
    for path, content in files.items():
        place = folder / path
        if not is_so(place, content):
            replace(place, content, 0o644)
    for path in set(instead_of) - files.keys():
        (folder / path).unlink(missing_ok=True)


def is_so(path: Path, content: bytes) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    return stat.S_IMODE(path.stat().st_mode) == 0o644 and path.read_bytes() == content
