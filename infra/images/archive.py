"""Image archives that `docker load` takes, the same to the last byte for the same content.

Format: the Docker image specification v1.2 (manifest.json, a configuration, one layer).
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: 2026-01-01: the time of every file, and of the image itself.
EPOCH = 1767225600
CREATED = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Content:
    """What an image holds: its name, its `config`, and one layer (an uncompressed tar)."""

    name: str
    architecture: str
    config: Mapping[str, object]
    layer: Path


def write_archive(content: Content, path: Path) -> None:
    """Write the archive to `path`."""
    with content.layer.open("rb") as layer:
        layer_id = hashlib.file_digest(layer, "sha256").hexdigest()
    config = _canonical(
        {
            "architecture": content.architecture,
            "os": "linux",
            "created": CREATED,
            "config": content.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_id}"]},
            "history": [{"created": CREATED, "created_by": "meshkeeper"}],
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{layer_id}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [content.name], "Layers": [layer_name]}]
    with tarfile.open(path, "w") as archive:
        add_bytes(archive, config_name, config)
        with content.layer.open("rb") as layer:
            entry = _entry(layer_name, content.layer.stat().st_size)
            archive.addfile(entry, layer)
        add_bytes(archive, "manifest.json", _canonical(manifest))


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = _entry(name, len(content))
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(content))


def add_directory(archive: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    entry = _entry(name, 0)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = size, EPOCH
    return entry


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
