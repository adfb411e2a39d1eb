"""A child process that reads a suspect's database: `python -I -m infra.backup.database_facts FILE`.

SQLite parses hostile bytes here. A container would be a stronger wall but costs about a second
for each snapshot, every hour; this is a process of its own that can write no file, has little
memory and time, trusts no schema, and prints what it found as JSON for infra.backup.database.
"""

import json
import resource
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from infra.docker.vps.networking.headscale.snapshot import database_facts

#: Bytes, and seconds.
MEMORY, CPU, SECONDS = 1024 * 1024 * 1024, 20, 40


def main(path: str) -> None:
    _confine()
    print(json.dumps(_read(Path(path).resolve())))


def _confine() -> None:
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(limit, (value, value))


def _read(path: Path) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    # Immutable: never a journal beside it, nor a look at one.
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        database.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
        _distrust(database)
        strangers = database.execute(
            "SELECT count(*) FROM sqlite_master WHERE sql IS NOT NULL AND NOT"
            " (type = 'table' AND substr(sql, 1, 13) = 'CREATE TABLE ' OR type = 'index' AND"
            " (substr(sql, 1, 13) = 'CREATE INDEX ' OR substr(sql, 1, 20) = 'CREATE UNIQUE INDEX '))"
        ).fetchone()[0]
        if strangers:
            what = "objects are neither plain tables nor indexes, and Headscale has no others"
            return {"problem": f"{strangers} {what}"}
        checked = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if checked != "ok":
            return {"problem": f"PRAGMA integrity_check says {str(checked)[:200]!r}"}
        return database_facts(database)


def _distrust(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    database.execute("PRAGMA mmap_size = 0")
    for limit, value in (
        (sqlite3.SQLITE_LIMIT_LENGTH, 16 * 1024 * 1024),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (sqlite3.SQLITE_LIMIT_COLUMN, 100),
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 50),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    ):
        database.setlimit(limit, value)


if __name__ == "__main__":
    main(sys.argv[1])
