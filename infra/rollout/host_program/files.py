"""A release's files in their place."""

from __future__ import annotations

import stat
from pathlib import Path

from infra.rollout.host_program.disk import replace
from infra.rollout.host_program.places import SECRETS, Request
from infra.rollout.host_program.releases import contents, serving


def put_files(
    request: Request, files: dict[str, bytes], instead_of: dict[str, bytes] | None = None
) -> None:
    """Each file whole, those that are so already not at all; others of a release's go."""
    folder = Path(request["directory"])
    if any(path.startswith(SECRETS) for path in files):
        (folder / SECRETS).mkdir(exist_ok=True, mode=0o700)  # also for those of an earlier release
    current = serving(request)
    gone = instead_of if instead_of is not None else (contents(current) if current else {})
    for path, content in files.items():
        place = folder / path
        if not is_so(place, content):
            replace(place, content, 0o644)
    for path in gone.keys() - files.keys():
        (folder / path).unlink(missing_ok=True)


def is_so(path: Path, content: bytes) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    return stat.S_IMODE(path.stat().st_mode) == 0o644 and path.read_bytes() == content
