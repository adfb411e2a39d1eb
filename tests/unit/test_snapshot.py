"""The sidecar's program, as far as it goes without a server: copies, ids, locks, archives."""

import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.docker.vps.networking.headscale import snapshot

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE users(id integer PRIMARY KEY, name text, email text, provider_identifier text,
                   deleted_at datetime);
CREATE TABLE nodes(id integer PRIMARY KEY, given_name text, user_id integer, node_key text,
                   machine_key text, ipv4 text, ipv6 text, tags text, approved_routes text,
                   deleted_at datetime);
CREATE TABLE pre_auth_keys(id integer PRIMARY KEY, prefix text, user_id integer, tags text,
                           reusable numeric);
CREATE TABLE api_keys(id integer PRIMARY KEY, prefix text);
INSERT INTO users(id, name) VALUES (1, 'alice');
INSERT INTO users(id, name, email) VALUES (2, '', 'bob@example.org');
INSERT INTO nodes VALUES (1, 'laptop', 1, 'nodekey:aa', 'mkey:aa', '100.64.0.1', 'fd7a::1', '[]', '["10.0.0.0/8"]', NULL);
INSERT INTO nodes VALUES (2, 'canary', NULL, 'nodekey:bb', 'mkey:bb', '100.64.0.2', NULL, '["tag:c"]', NULL, NULL);
INSERT INTO pre_auth_keys VALUES (1, 'Wj3', NULL, '["tag:c"]', 0);
INSERT INTO api_keys VALUES (1, 'aaBB');
"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A writer like Headscale: open, in WAL mode, nothing checkpointed."""
    path = tmp_path / snapshot.DATABASE
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.executescript(SCHEMA)
        yield writer


def copy(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    target = tmp_path / "copy.sqlite"
    with closing(snapshot.open_live(tmp_path / snapshot.DATABASE)) as reader:
        return snapshot.copy_database(reader, target), target


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [name for (name,) in database.execute("SELECT name FROM users ORDER BY id")]


def test_a_committed_row_in_the_wal_is_in_the_copy(
    live: sqlite3.Connection, tmp_path: Path
) -> None:
    live.execute("INSERT INTO users(id, name) VALUES (3, 'late')")
    (tmp_path / "main-file-alone").write_bytes((tmp_path / snapshot.DATABASE).read_bytes())
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        names(tmp_path / "main-file-alone")  # so the row really is in the WAL only

    facts, target = copy(tmp_path)

    assert names(target) == ["alice", "", "late"]
    assert facts["tables"] == {"api_keys": 1, "nodes": 2, "pre_auth_keys": 1, "users": 3}


def test_facts_and_copy_are_of_one_moment(live: sqlite3.Connection, tmp_path: Path) -> None:
    """A row that is committed between the count and the copy is in neither."""
    target = tmp_path / "copy.sqlite"
    with closing(snapshot.open_live(tmp_path / snapshot.DATABASE)) as reader:
        reader.set_trace_callback(
            lambda sql: (
                live.execute("INSERT INTO users(name) VALUES ('between')")
                if "FROM nodes LEFT JOIN" in sql
                else None
            )
        )
        facts = snapshot.copy_database(reader, target)

    assert live.execute("SELECT count(*) FROM users WHERE name = 'between'").fetchone() == (1,)
    assert facts["tables"] == {"api_keys": 1, "nodes": 2, "pre_auth_keys": 1, "users": 2}
    assert names(target) == ["alice", ""]


def test_users_and_nodes_are_stated_as_headscale_stores_them(
    live: sqlite3.Connection, tmp_path: Path
) -> None:
    facts, _ = copy(tmp_path)

    assert facts["users"] == ["alice", "bob@example.org"]
    laptop, canary = facts["nodes"]
    assert laptop["approved_routes"] == ["10.0.0.0/8"]
    assert canary == {
        "id": 2,
        "name": "canary",
        "user": "",
        "node_key": "nodekey:bb",
        "machine_key": "mkey:bb",
        "addresses": ["100.64.0.2"],
        "tags": ["tag:c"],
        "approved_routes": [],
    }
    device_key, api_key = facts["credentials"]
    assert (device_key["prefix"], device_key["tags"], device_key["reusable"]) == (
        "Wj3",
        ["tag:c"],
        False,
    )
    assert api_key == {"kind": "API key", "id": 1, "prefix": "aaBB"}


def test_the_schema_before_0_28_is_read_as_well(live: sqlite3.Connection, tmp_path: Path) -> None:
    """Tags had another name; keys were kept whole, and none of them is ever told."""
    live.executescript(
        "ALTER TABLE nodes RENAME COLUMN tags TO forced_tags;"
        "ALTER TABLE pre_auth_keys RENAME COLUMN prefix TO key;"
    )
    facts, _ = copy(tmp_path)
    assert [node["tags"] for node in facts["nodes"]] == [[], ["tag:c"]]
    device_key, api_key = facts["credentials"]
    assert (device_key["prefix"], device_key["tags"], api_key["prefix"]) == ("", ["tag:c"], "aaBB")


def test_a_missing_database_is_never_created(tmp_path: Path) -> None:
    with pytest.raises(snapshot.SnapshotError, match=r"db\.sqlite is missing"):
        snapshot.open_live(tmp_path / snapshot.DATABASE)
    assert not (tmp_path / snapshot.DATABASE).exists()


def test_a_second_snapshot_waits_and_gets_an_id_of_its_own(tmp_path: Path) -> None:
    ids: list[str] = []

    def take() -> None:
        with snapshot.exclusive(tmp_path):
            moment = snapshot.next_moment(tmp_path)
            ids.append(snapshot.snapshot_id(moment))
            (tmp_path / f"{ids[-1]}.tar").touch()

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 3
    assert ids == sorted(ids)


def test_the_draft_of_a_killed_one_is_gone(tmp_path: Path) -> None:
    (tmp_path / ".draft").mkdir()
    (tmp_path / ".draft" / "db.sqlite").write_text("half")

    with snapshot.drafts(tmp_path) as folder:
        assert list(folder.iterdir()) == []
    assert not folder.exists()


def test_an_archive_is_the_same_for_the_same_files_and_private(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for name in (snapshot.DATABASE, snapshot.MANIFEST, *snapshot.KEYS):
        (files / name).write_text(name)

    for archive in ("one.tar", "two.tar"):
        snapshot.pack(files, tmp_path / archive, 1_000_000)

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        members = tar.getmembers()
    assert members[0].name == snapshot.MANIFEST
    assert {(m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, "", 0o600)}


def test_a_snapshot_is_never_overwritten(tmp_path: Path) -> None:
    draft = tmp_path / ".draft"
    draft.mkdir()
    target = tmp_path / "20261123T120000Z.tar"
    target.write_text("the first")

    with pytest.raises(FileExistsError):
        snapshot.publish(draft, target, snapshot.next_moment(tmp_path))
    assert target.read_text() == "the first"


@pytest.mark.parametrize("name", [*snapshot.KEYS, *snapshot.CONFIGURATION])
def test_a_snapshot_that_would_lack_a_file_is_refused(tmp_path: Path, name: str) -> None:
    places = snapshot.Places(data=tmp_path, config=tmp_path)
    for other in {*snapshot.KEYS, *snapshot.CONFIGURATION} - {name}:
        (tmp_path / other).write_text(other)
    draft = tmp_path / "draft"
    draft.mkdir()

    with pytest.raises(snapshot.SnapshotError, match=f"{name} is missing or empty"):
        snapshot.copy_files(places, draft)


@pytest.mark.parametrize("own", [True, False])
def test_a_failure_of_the_loop_is_left_for_the_flow_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    def refuse(_: snapshot.Places) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "take", refuse)
    monkeypatch.setattr(snapshot, "Places", partial(snapshot.Places, backups=tmp_path))
    assert snapshot.main(own=own) == 1
    left = tmp_path / "last-error"
    assert left.exists() == own  # who asks is told directly
    if own:
        (line,) = left.read_text().splitlines()
        assert line.endswith(
            "UTC: OSError: [Errno 28] No space left on device: no snapshot was written."
        )


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    program = Path(snapshot.__file__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({str(program)!r})"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
