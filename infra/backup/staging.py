"""Where a backup run keeps what it fetched: private, one run at a time, empty afterwards."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import CouldNotRun
from infra.settings import Settings


@contextmanager
def staging(settings: Settings, site_name: str) -> Iterator[Path]:
    """An empty folder (0700) for one backup run; what a killed run left in it is gone.

    Raises CouldNotRun while another run of the same site is at work.
    """
    folder = settings.site_dir(site_name) / "staging" / "backup"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder.parent / "backup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CouldNotRun(
                f"Another backup of {site_name} is running.", "Wait for its end, then try again."
            ) from error
        _clear(folder)
        try:
            yield folder
        finally:
            _clear(folder)


@contextmanager
def workplace(staging_folder: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Two empty folders for one snapshot: for its archive and for its files; gone afterwards."""
    folders = staging_folder / name / "archive", staging_folder / name / "files"
    for folder in folders:
        folder.mkdir(parents=True, mode=0o700)
    try:
        yield folders
    finally:
        shutil.rmtree(staging_folder / name)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
