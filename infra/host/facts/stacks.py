"""Stacks: their files and containers, and Headscale's mesh."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from itertools import islice

from infra.host.facts.docker import containers_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from typing import Any

MOST_FILES = 2000
MOST_BYTES = 32 * 1024 * 1024
#: Files of a stack's data whose sizes are added up.
MOST_DATA = 20_000
#: For the mesh: seconds (it takes milliseconds), users or nodes, characters of a name or of a node's tags.
MESH_SECONDS = 2
MOST_ROWS = 10_000
MOST_NAME = 4096
NODES = "SELECT node_key, tags FROM nodes WHERE deleted_at IS NULL"
#: Before 0.28.
OLD_NODES = "SELECT node_key, forced_tags FROM nodes WHERE deleted_at IS NULL"


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
    return {
        "project": project,
        "data_bytes": sum(map(data_bytes, data_below(stack))),
        "files": files,
        "containers": containers_of(project),
    }


def data_below(stack: dict[str, Any]) -> Iterator[str]:
    """The first files in the folders whose content is not looked at."""
    folders = [os.path.join(stack["directory"], name) for name in stack["exclude"]]
    return islice((path for folder in folders for path in files_below(folder, set())), MOST_DATA)


def data_bytes(path: str) -> int:
    """0 for what is gone by now: a database's log comes and goes."""
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def files_below(directory: str, exclude: set[str]) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        relative = os.path.relpath(folder, directory)
        folders[:] = [f for f in folders if os.path.normpath(relative + "/" + f) not in exclude]
        for name in names:
            yield os.path.join(folder, name)


def mesh_state(database: str | None) -> dict[str, Any] | None:
    """From Headscale's database itself: its own command line takes a second on a small host.

    Headscale writes it, and might be no Headscale any more: a view in a table's place may go on
    without end, and a row be as long as it likes. So root's patience, memory and rows are bounded.
    """
    if database is None or not os.path.isfile(database):
        return None
    import sqlite3  # 5 ms: only for a host that has a mesh

    deadline = time.monotonic() + MESH_SECONDS
    # After a clean stop there is no WAL, whose index could not be made read-only.
    for mode in ("mode=ro", "immutable=1"):
        try:
            mesh = sqlite3.connect("file:" + database + "?" + mode, uri=True, timeout=5)
            mesh.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            mesh.execute("PRAGMA hard_heap_limit = " + str(MOST_BYTES))
            names = rows(mesh, "SELECT name FROM users WHERE deleted_at IS NULL")
            columns = rows(mesh, "SELECT name FROM pragma_table_info('nodes')")
            nodes = rows(mesh, OLD_NODES if ("forced_tags",) in columns else NODES)
            return {"users": [name for (name,) in names if name], "tagged": tagged(nodes)}
        except (sqlite3.Error, MemoryError, RecursionError, ValueError):
            continue
    return None


def rows(mesh: sqlite3.Connection, query: str) -> list[tuple[str | None, ...]]:
    """The first rows, those that hold short texts and nothing else."""
    return [row for row in islice(mesh.execute(query), MOST_ROWS) if all(map(is_short, row))]


def is_short(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= MOST_NAME)


def tagged(nodes: list[tuple[str | None, ...]]) -> dict[str, list[str]]:
    """Node keys by tag."""
    found: dict[str, list[str]] = {}
    for key, text in nodes:
        tags = json.loads(text or "null")
        if key and isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            for tag in tags:
                found.setdefault(tag, []).append(key)
    return found
