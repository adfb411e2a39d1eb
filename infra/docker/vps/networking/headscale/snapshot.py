"""Takes one snapshot of Headscale, with a manifest of what it holds, and prints its id.

Runs on the host in the sidecar, by the hour (backup.sh, with --own) and when asked; standard
library only. How an own one ended is left beside the snapshots: `last-own`, or `last-error`.
The manifest is taken from the *live* server and database, the files are copies: a copy that
lost something contradicts its manifest. Its form is infra/model/snapshot.py.
"""

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

DATABASE = "db.sqlite"
KEYS = ("noise_private.key", "derp_server_private.key")
CONFIGURATION = ("config.yaml", "policy.hujson", "derp.yaml", "extra_records.json")
MANIFEST = "manifest.json"
#: Seconds: for a server that is just being replaced, and for one answer.
PATIENCE, TIMEOUT = 10, 5


class SnapshotError(Exception):
    """The snapshot would lack something; the message is one sentence for people."""


class Places(NamedTuple):
    """Where things are; the defaults are the sidecar's mounts."""

    data: Path = Path("/var/lib/headscale")
    config: Path = Path("/etc/headscale")
    backups: Path = Path("/backups")
    server: str = "http://headscale:8080"
    image: str = ""


def main(*, own: bool) -> int:
    places = Places(
        server=os.environ.get("HEADSCALE_URL", Places().server),
        image=os.environ.get("MESHKEEPER_IMAGE", ""),
    )
    try:
        taken = take(places)
    except Exception as error:  # noqa: BLE001 - whatever it was, the next flow has to see it
        sentence = f"{error}"
        if not isinstance(error, SnapshotError):
            sentence = f"{type(error).__name__}: {error}: no snapshot was written."
        if own:
            when = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            note(places.backups / "last-error", f"{when}: {sentence[:500]}")
        print(sentence, file=sys.stderr)
        return 1
    if own:
        note(places.backups / "last-own", taken)
    print(taken)
    return 0


def take(places: Places) -> str:
    """Write `<id>.tar` into the backup folder and return the id (UTC, to the second)."""
    os.umask(0o027)
    with exclusive(places.backups), drafts(places.backups) as draft:
        moment = next_moment(places.backups)
        # First: at its very first start a server has no key files before it answers.
        keys = server_facts(places)
        files = copy_files(places, draft)
        with contextlib.closing(open_live(places.data / DATABASE)) as live:
            tables = copy_database(live, draft / DATABASE)
        manifest = {
            "format": 1,
            "stack": "headscale",
            "id": snapshot_id(moment),
            "created_at": moment.isoformat(),
            "image": places.image,
            "files": {name: fact(draft / name) for name in (DATABASE, *files)},
            "facts": tables | keys | {"policy_sha256": policy_digest(draft)},
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1))
        publish(draft, places.backups / f"{manifest['id']}.tar", moment)
    (places.backups / "last-error").unlink(missing_ok=True)
    return str(manifest["id"])


@contextlib.contextmanager
def exclusive(backups: Path) -> Iterator[None]:
    """One at a time: the hourly one and the one that was asked for may meet."""
    with (backups / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def drafts(backups: Path) -> Iterator[Path]:
    """A folder on the same file system; what a killed predecessor left in it is gone."""
    folder = backups / ".draft"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def next_moment(backups: Path) -> datetime:
    """Now, to the second; a second later when there is a snapshot of this second already."""
    while True:
        moment = datetime.now(UTC).replace(microsecond=0)
        if not (backups / f"{snapshot_id(moment)}.tar").exists():
            return moment
        time.sleep(0.1)


def snapshot_id(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


def copy_files(places: Places, draft: Path) -> tuple[str, ...]:
    """Copy keys and configuration. A missing or empty one fails the snapshot."""
    sources = [places.data / name for name in KEYS]
    sources += [places.config / name for name in CONFIGURATION]
    for source in sources:
        if not source.is_file() or not source.stat().st_size:
            raise SnapshotError(f"{source} is missing or empty: no snapshot was written.")
        shutil.copyfile(source, draft / source.name)
    return tuple(source.name for source in sources)


def open_live(path: Path) -> sqlite3.Connection:
    """The live database; never creates one. (Read-only would fail after a clean stop.)"""
    if not path.is_file():
        raise SnapshotError(f"{path} is missing: no snapshot was written.")
    return sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, timeout=30)


def copy_database(live: sqlite3.Connection, target: Path) -> dict[str, Any]:
    """Facts and copy of one and the same moment: both in one read transaction."""
    live.execute("BEGIN")
    try:
        facts = database_facts(live)
        with contextlib.closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
    finally:
        live.execute("ROLLBACK")
    return facts


def database_facts(database: sqlite3.Connection) -> dict[str, Any]:
    """Rows per table, users and nodes (schema of Headscale 0.27 to 0.29)."""
    tables = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
    ).fetchall()
    return {
        "tables": {table: count_rows(database, table) for (table,) in tables},
        "users": [name for (name,) in database.execute(USERS)],
        "nodes": [node_fact(row) for row in database.execute(known(database, NODES))],
        "credentials": [
            *(pre_auth_key(row) for row in database.execute(known(database, PRE_AUTH_KEYS))),
            *(api_key(row) for row in database.execute(API_KEYS)),
        ],
    }


USERS = (
    "SELECT coalesce(nullif(name, ''), email, provider_identifier, '') FROM users"
    " WHERE deleted_at IS NULL ORDER BY id"
)
NODES = (
    "SELECT nodes.id, given_name, coalesce(users.name, ''), node_key, machine_key, ipv4, ipv6, tags,"
    " approved_routes FROM nodes LEFT JOIN users ON users.id = user_id"
    " WHERE nodes.deleted_at IS NULL ORDER BY nodes.id"
)
PRE_AUTH_KEYS = (
    "SELECT keys.id, prefix, coalesce(users.name, ''), tags, reusable FROM pre_auth_keys AS keys"
    " LEFT JOIN users ON users.id = user_id ORDER BY keys.id"
)
API_KEYS = "SELECT id, prefix FROM api_keys ORDER BY id"


def known(database: sqlite3.Connection, query: str) -> str:
    """The query for this schema: 0.28 renamed the tags of nodes, and gave pre-auth keys prefixes."""
    found = database.execute("SELECT name FROM pragma_table_info('nodes')").fetchall()
    if ("forced_tags",) not in found:
        return query
    return query.replace("ipv6, tags", "ipv6, forced_tags").replace("prefix", "''")


def count_rows(database: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    return int(database.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0])  # noqa: S608


def node_fact(row: tuple[Any, ...]) -> dict[str, Any]:
    number, name, user, node_key, machine_key, ipv4, ipv6, tags, routes = row
    return {
        "id": number,
        "name": name or "",
        "user": user,
        "node_key": node_key or "",
        "machine_key": machine_key or "",
        "addresses": [address for address in (ipv4, ipv6) if address],
        "tags": json.loads(tags or "null") or [],
        "approved_routes": json.loads(routes or "null") or [],
    }


def pre_auth_key(row: tuple[Any, ...]) -> dict[str, Any]:
    number, prefix, user, tags, reusable = row
    return {
        "kind": "pre-auth key",
        "id": number,
        "prefix": prefix or "",
        "user": user,
        "tags": json.loads(tags or "null") or [],
        "reusable": bool(reusable),
    }


def api_key(row: tuple[Any, ...]) -> dict[str, Any]:
    number, prefix = row
    return {"kind": "API key", "id": number, "prefix": prefix or ""}


def server_facts(places: Places) -> dict[str, str]:
    """The public keys that clients see now; waits a little for a server that is restarting."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return {"server_key": server_key(places.server), "derp_key": derp_key(places.server)}
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            if time.monotonic() > deadline:
                raise SnapshotError(
                    f"Headscale does not show its keys at {places.server} ({error!r}):"
                    " no snapshot was written."
                ) from error
            time.sleep(1)


def server_key(server: str) -> str:
    """`mkey:…`, by which clients know the server."""
    with answer(server, "/key?v=113", {}) as response:
        return str(json.loads(response.read(4096))["publicKey"])


def derp_key(server: str) -> str:
    """Hex digits of the embedded relay's key, from its own answer on the wire."""
    headers = {"Connection": "Upgrade", "Upgrade": "DERP"}
    with answer(server, "/derp", headers) as response:
        shown = response.getheader("Derp-Public-Key")
    if not shown:
        raise ValueError("the relay at /derp shows no key")
    return shown.rpartition(":")[2]


@contextlib.contextmanager
def answer(server: str, path: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=headers)
        yield connection.getresponse()
    finally:
        connection.close()


def policy_digest(draft: Path) -> str:
    return str(fact(draft / "policy.hujson")["sha256"])


def fact(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "size": path.stat().st_size}


def publish(draft: Path, target: Path, moment: datetime) -> None:
    """The archive appears whole or not at all, and never in the place of another."""
    archive = draft / target.name
    pack(draft, archive, int(moment.timestamp()))
    with archive.open("rb") as stream:
        os.fsync(stream.fileno())
    archive.chmod(0o640)
    target.hardlink_to(archive)
    folder = os.open(target.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def pack(folder: Path, archive: Path, mtime: int) -> None:
    """A tar with the same bytes for the same files: plain names, root, 0600, manifest first."""
    names = (MANIFEST, *KEYS, *CONFIGURATION, DATABASE)
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in (folder / name for name in names if (folder / name).exists()):
            member = tarfile.TarInfo(path.name)
            member.size, member.mode, member.mtime = path.stat().st_size, 0o600, mtime
            with path.open("rb") as stream:
                tar.addfile(member, stream)


def note(path: Path, line: str) -> None:
    """Leave a line where the flow looks for it; a full disk is no reason to end otherwise."""
    with contextlib.suppress(OSError):
        draft = path.with_name(f".{path.name}")
        draft.write_text(f"{line}\n")
        draft.replace(path)


if __name__ == "__main__":
    sys.exit(main(own="--own" in sys.argv[1:]))
