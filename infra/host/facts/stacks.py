"""Stacks: their files and containers, and Headscale's mesh."""

from __future__ import annotations

import hashlib
import json
import os
import stat

from infra.host.facts.docker import containers_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MOST_FILES = 2000
MOST_BYTES = 32 * 1024 * 1024


def stack_state(stack: dict[str, Any]) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for path in files_below(stack["directory"], set(stack["exclude"])):
        entry = os.lstat(path)
        if stat.S_ISREG(entry.st_mode) and entry.st_size <= MOST_BYTES and len(files) < MOST_FILES:
            with open(path, "rb") as stream:
                digest = hashlib.sha256(stream.read()).hexdigest()
            mode = stat.S_IMODE(entry.st_mode)
            files[os.path.relpath(path, stack["directory"])] = {"sha256": digest, "mode": mode}
    project = stack["project"]
    return {"project": project, "files": files, "containers": containers_of(project)}


def files_below(directory: str, exclude: set[str]) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        relative = os.path.relpath(folder, directory)
        folders[:] = [f for f in folders if os.path.normpath(relative + "/" + f) not in exclude]
        for name in names:
            yield os.path.join(folder, name)


def mesh_state(database: str | None) -> dict[str, Any] | None:
    """From Headscale's database itself: its own command line takes a second on a small host."""
    if database is None or not os.path.isfile(database):
        return None
    import sqlite3  # 5 ms: only for a host that has a mesh

    # After a clean stop there is no WAL, whose index could not be made read-only.
    for mode in ("mode=ro", "immutable=1"):
        try:
            mesh = sqlite3.connect("file:" + database + "?" + mode, uri=True, timeout=5)
            names = mesh.execute("SELECT name FROM users WHERE deleted_at IS NULL").fetchall()
            nodes = mesh.execute(
                "SELECT node_key, tags FROM nodes WHERE deleted_at IS NULL"
            ).fetchall()
        except sqlite3.Error:
            continue
        tagged: dict[str, list[str]] = {}
        for key, tags in nodes:
            for tag in json.loads(tags or "null") or []:
                tagged.setdefault(tag, []).append(key)
        return {"users": [name for (name,) in names if name], "tagged": tagged}
    return None
