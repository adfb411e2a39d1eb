"""Runs on the host, as root, over standard input: tells a stack's releases and the room for another.

Standard library only, Python 3.11 or newer. Changes nothing.
"""

import hashlib
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

HOME = Path("/var/lib/meshkeeper/releases")
PENDING = ".rollout-pending"
ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")
#: The newest that are told; a rollout keeps six.
MOST = 64
#: Bytes of a manifest; the archives were made by a container.
LONGEST = 8 * 1024 * 1024

Request = dict[str, Any]


def releases(request: Request) -> dict[str, Any]:
    home = HOME / str(request["stack"])
    current = home / "current"
    found = sorted(home.glob("*Z")) if home.exists() else []
    return {
        "current": str(current.readlink()) if current.is_symlink() else None,
        "unfinished": (Path(request["directory"]) / PENDING).exists(),
        "releases": [release(path) for path in found if ID.fullmatch(path.name)][-MOST:],
        "free": min(free(Path(place)) for place in (HOME, "/var/lib/docker", request["directory"])),
        "data_size": size(Path(request["directory"]) / "data") if request["server"] else 0,
    }


def release(path: Path) -> dict[str, Any]:
    folder = path / "files"
    told = json.loads((path / "release.json").read_text())
    return {
        "id": path.name,
        "images": told["images"],
        "containers": told["containers"],
        "files": {
            str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in folder.rglob("*")
            if file.is_file()
        },
        "before": before(path / "before.tar"),
        "size": size(path),
    }


def before(archive: Path) -> dict[str, str] | None:
    if not archive.exists():
        return None
    told = json.loads(manifest_text(archive))
    return {"id": told["id"], "image": told["image"]}


def manifest(request: Request) -> Any:
    """Of the data from before the release `data_of`."""
    return json.loads(manifest_text(HOME / request["stack"] / request["data_of"] / "before.tar"))


def manifest_text(archive: Path) -> bytes:
    with tarfile.open(archive) as tar:
        first = tar.next()
        stream = tar.extractfile(first) if first and first.name == "manifest.json" else None
        if stream is None:
            sys.exit(f"{archive} does not begin with its manifest")
        return stream.read(LONGEST)


def free(place: Path) -> int:
    """Bytes for others than root, where it is or will be."""
    while not place.exists():
        place = place.parent
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def main(request: Request) -> None:
    steps = {"releases": releases, "manifest": manifest}
    json.dump(steps[request["step"]](request), sys.stdout)
