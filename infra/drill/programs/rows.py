"""Counts the rows of a restored database. Runs in a container without a network.

Usage: python3 -c PROGRAM DATABASE immutable=1|mode=ro. The latter for one that a server works
with. Prints one line of JSON: {"tables": {name: rows}}, or {"problem": "…"} when SQLite finds the
file damaged.
"""

import json
import sqlite3
import sys


def examine(path: str, mode: str) -> dict[str, object]:
    """Rows per table, after SQLite's own check of the whole file."""
    database = sqlite3.connect(f"file:{path}?{mode}", uri=True)
    verdict = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        return {"problem": str(verdict)[:300]}
    names = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    # A name can't be bound as a parameter; doubled quotes keep it one identifier.
    quoted = {name: '"' + name.replace('"', '""') + '"' for (name,) in names[:200]}
    return {
        "tables": {
            name: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for name, table in quoted.items()
        }
    }


if __name__ == "__main__":
    try:
        result = examine(*sys.argv[1:])
    except sqlite3.Error as error:
        result = {"problem": str(error)[:300]}
    print(json.dumps(result))
