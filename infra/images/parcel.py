"""What is sent of an image: an archive without the layers that the other engine has, compressed.

`docker load` (classic store) reads only the layers that it lacks, checks each against the configuration,
and loads nothing of an archive that is cut off: tried with engine 20.10. The parcel is the same to the
last byte for the same image and the same layers there.
"""

import gzip
import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import ImageUnavailable
from infra.images.archive import EPOCH, add_bytes
from infra.images.build import save
from infra.images.cache import cached
from infra.images.ensure import silent
from infra.images.foreign import foreign_archive
from infra.images.platforms import Architecture, own

#: Of the images here 1 leaves a tenth more than 6, at 40 MB/s instead of 15 (one core, shared).
COMPRESSION = 1
Layers = tuple[str, ...]


@dataclass(frozen=True)
class Parcel:
    """`sent` of `layers` are in it; `size` in bytes, compressed."""

    name: str
    image_id: str
    path: Path
    size: int
    layers: int
    sent: int


@contextmanager
def parcel(name: str, architecture: Architecture, there: Iterable[Layers]) -> Iterator[Parcel]:
    """The image's, made of what the engine or the cache has; gone at the end.

    `there`: the layers of each image that the other engine has, lowest first, as digests.
    """
    with tempfile.TemporaryDirectory(
        dir=cached("images", "x").parent, prefix="building-"
    ) as folder:
        path = Path(folder) / "parcel"
        if architecture == own():
            saved = Path(folder) / "saved"
            save(name, saved)
        else:
            saved = foreign_archive(name, architecture, silent)
        yield pack(name, saved, there, path)


def pack(name: str, saved: Path, there: Iterable[Layers], path: Path) -> Parcel:
    """Write what is lacking of a saved image to `path`."""
    with tarfile.open(saved) as source:
        [manifest] = json.loads(_content(source, "manifest.json"))
        config = _content(source, manifest["Config"])
        layers: Layers = tuple(json.loads(config)["rootfs"]["diff_ids"])
        known = known_layers(layers, there)
        digest = hashlib.sha256(config).hexdigest()
        names = [f"{layer.removeprefix('sha256:')}/layer.tar" for layer in layers]
        with _compressed(path) as archive:
            add_bytes(archive, f"{digest}.json", config)
            for member, entry in dict(
                zip(manifest["Layers"][known:], names[known:], strict=True)
            ).items():
                _copy(source, member, archive, entry)
            load = [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": names}]
            add_bytes(archive, "manifest.json", json.dumps(load).encode())
    size = path.stat().st_size
    return Parcel(name, f"sha256:{digest}", path, size, len(layers), len(layers) - known)


def known_layers(layers: Layers, there: Iterable[Layers]) -> int:
    """How many, from the lowest on, lie there in the same order: a layer is one upon those below."""
    return max((_common(layers, other) for other in there), default=0)


def _common(one: Layers, other: Layers) -> int:
    pairs = zip(one, other, strict=False)
    return next(
        (n for n, (mine, theirs) in enumerate(pairs) if mine != theirs), min(len(one), len(other))
    )


@contextmanager
def _compressed(path: Path) -> Iterator[tarfile.TarFile]:
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        yield archive


def _copy(source: tarfile.TarFile, member: str, archive: tarfile.TarFile, entry: str) -> None:
    content: Any = source.extractfile(member)
    info = tarfile.TarInfo(entry)
    info.size, info.mtime = content.seek(0, 2), EPOCH
    content.seek(0)
    archive.addfile(info, content)


def _content(source: tarfile.TarFile, member: str) -> bytes:
    stream = source.extractfile(member)
    if stream is None:
        raise ImageUnavailable(f"What the engine saves of an image has no {member[:80]}.")
    return stream.read()
