"""What an image is called on every engine: the digest of its configuration.

With the classic store that is its id. With containerd's (Docker 29's default on new installations) an
engine calls it by the digest of a manifest, which is another one on the host.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from infra.errors import ImageUnavailable
from infra.images.engine import engine

#: As `docker info` names the other store.
CONTAINERD = "io.containerd.snapshotter.v1"


def configuration_id(name: str) -> str:
    """`sha256:…` of an image that the engine has; the same on the host that it is sent to."""
    image = engine().images.get(name)
    return _saved_configuration(str(image.id)) if _in_containerd() else str(image.id)


@cache
def _in_containerd() -> bool:
    return CONTAINERD in str(engine().info().get("DriverStatus"))


@cache
def _saved_configuration(engine_id: str) -> str:
    return configuration_of(engine().images.get(engine_id).save())


def configuration_of(archive: Iterable[bytes]) -> str:
    """The configuration's digest out of what `docker save` writes, in its old and its OCI layout.

    Raises ImageUnavailable for anything else.
    """
    stream = io.BufferedReader(_Stream(archive))
    with tarfile.open(fileobj=stream, mode="r|") as saved:
        for member in saved:
            content = saved.extractfile(member) if member.name == "manifest.json" else None
            if content:
                path = str(json.load(content)[0]["Config"])
                if found := re.fullmatch(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?", path):
                    return f"sha256:{found[1]}"
    raise ImageUnavailable("What the engine saves of an image names no configuration.")


class _Stream(io.RawIOBase):
    """Chunks, read as a file: the archive is larger than what one wants of it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._left or next(self._chunks, b"")
        given = chunk[: len(buffer)]
        buffer[: len(given)] = given
        self._left = chunk[len(given) :]
        return len(given)
