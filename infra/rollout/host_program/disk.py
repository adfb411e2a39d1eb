"""Folders of the right owner, and files that are there whole or not at all."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import IO

from infra.rollout.host_program.places import Request


def make_folders(request: Request) -> None:
    """The admin's own folders on the way; then those of the stack, root's unless named."""
    admin = pwd.getpwnam(request["admin"])
    for name, mode in request["folders"].items():
        make_parents(Path(name), admin)
        Path(name).mkdir(exist_ok=True)
        os.chown(name, 0, admin.pw_gid)
        Path(name).chmod(mode)


def make_parents(folder: Path, admin: pwd.struct_passwd) -> None:
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755)
            os.chown(parent, admin.pw_uid, admin.pw_gid)


def replace(path: Path, content: bytes | IO[bytes], mode: int) -> None:
    """A file is replaced whole or not at all."""
    path.parent.mkdir(exist_ok=True, parents=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as stream:
        if isinstance(content, bytes):
            stream.write(content)
        else:
            shutil.copyfileobj(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    draft.chmod(mode)
    draft.replace(path)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def free(place: Path) -> int:
    """Bytes for others than root, where it is or will be."""
    while not place.exists():
        place = place.parent
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
