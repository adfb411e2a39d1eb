"""Runs on the host, as root: tells a stack's releases and the room for another. Changes nothing."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from infra.rollout.host_program.archive import manifest_text
from infra.rollout.host_program.disk import free, size
from infra.rollout.host_program.places import (
    ABOUT,
    BEFORE,
    CURRENT,
    FILES,
    HOME,
    ID,
    SECRETS,
    Request,
    data,
    home,
    pending,
)

#: The newest that are told; a rollout keeps six.
MOST = 64


def releases(request: Request) -> dict[str, Any]:
    current = home(request) / CURRENT
    serves = str(current.readlink()) if current.is_symlink() else None
    unfinished = pending(request).exists()
    found = [
        path
        for path in sorted(home(request).glob("*Z"))
        # A newer one that nothing was changed for yet is no release: the next rollout discards it.
        if ID.fullmatch(path.name) and (unfinished or path.name <= (serves or ""))
    ]
    return {
        "current": serves,
        "unfinished": unfinished,
        "releases": [release(path) for path in found[-MOST:]],
        "free": min(free(Path(place)) for place in (HOME, "/var/lib/docker", request["directory"])),
        "data_size": size(data(request)) if request["server"] else 0,
    }


def release(path: Path) -> dict[str, Any]:
    folder = path / FILES
    told = json.loads((path / ABOUT).read_text())
    return {
        "id": path.name,
        "images": told["images"],
        "containers": told["containers"],
        "files": {
            str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in folder.rglob("*")
            if file.is_file() and not file.is_relative_to(folder / SECRETS)
        },
        "before": before(path / BEFORE),
        "size": size(path),
    }


def before(archive: Path) -> dict[str, str] | None:
    if not archive.exists():
        return None
    told = json.loads(manifest_text(archive))
    return {"id": told["id"], "image": told["image"]}


def manifest(request: Request) -> Any:
    """Of the data from before the release `data_of`."""
    return json.loads(manifest_text(home(request) / request["data_of"] / BEFORE))


def main(request: Request) -> None:
    steps = {"releases": releases, "manifest": manifest}
    json.dump(steps[request["step"]](request), sys.stdout)
