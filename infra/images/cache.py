"""Where what was built is kept, and the locks that let two processes share it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Of an input hash, as many digits stand in a file's name.
HASH_DIGITS = 16


def cache_dir() -> Path:
    """$XDG_CACHE_HOME/meshkeeper, by default ~/.cache/meshkeeper. `make clean` empties it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "meshkeeper"


def cached(kind: str, key: str) -> Path:
    """The place of an artefact; its directory exists afterwards, the artefact may not."""
    path = cache_dir() / kind / key
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def half_made(whole: Path) -> Iterator[Path]:
    """A place beside `whole` to make it; it is moved there when the block has ended well."""
    with tempfile.TemporaryDirectory(dir=whole.parent, prefix="building-") as scratch:
        half = Path(scratch) / whole.name
        yield half
        half.rename(whole)


def drop_older(kept: Path, name: str) -> None:
    """Remove the artefacts `<name>-<hash>…` that `kept` takes the place of."""
    for older in kept.parent.glob(f"{name}-{'[0-9a-f]' * HASH_DIGITS}*"):
        if older == kept:
            continue
        if older.is_dir():
            shutil.rmtree(older)
        else:
            older.unlink()


def file_name(name: str) -> str:
    """An image's name as one path component."""
    return name.replace("/", "_").replace(":", "_")


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock of that name among all processes that use this cache; waits for it."""
    with cached("locks", file_name(name)).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
