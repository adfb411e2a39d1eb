"""A snapshot's archive, which a container made: nothing is unpacked that was not measured."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from typing import IO

#: Bytes of a manifest.
LONGEST = 8 * 1024 * 1024


def manifest_text(archive: Path) -> bytes:
    """It comes first. Not compressed: what is small there is small here."""
    with tarfile.open(archive, "r:") as tar:
        first = tar.next()
        stream = tar.extractfile(first) if first and first.name == "manifest.json" else None
        if stream is None:
            sys.exit(f"{archive} does not begin with its manifest")
        return stream.read(LONGEST)


def member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        sys.exit(f"{name} in the snapshot is no file")
    return stream


def sizes(archive: Path) -> dict[str, int]:
    """Bytes that each of its files takes once it is written."""
    with tarfile.open(archive, "r:") as tar:
        return {one.name: one.size for one in tar if one.isfile()}
