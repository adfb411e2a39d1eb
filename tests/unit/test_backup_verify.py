"""What a snapshot says it holds, against what it does hold. The snapshots here are made by the
sidecar's own functions, over a real database and real keys."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from infra.backup.keys import public_key
from infra.backup.verify import check_files, verify
from infra.docker.vps.networking.headscale import snapshot
from infra.errors import BackupFailed
from infra.model.anchor import Anchor
from infra.model.snapshot import MANIFEST, REQUIRED_FILES, Manifest

ID = "20261123T120000Z"
TABLES = """
CREATE TABLE users(id integer PRIMARY KEY, name text, email text, provider_identifier text,
                   deleted_at datetime);
CREATE TABLE nodes(id integer PRIMARY KEY, given_name text, user_id integer, node_key text,
                   machine_key text, ipv4 text, ipv6 text, tags text, approved_routes text,
                   deleted_at datetime);
CREATE TABLE pre_auth_keys(id integer PRIMARY KEY, prefix text, user_id integer, tags text,
                           reusable numeric);
CREATE TABLE api_keys(id integer PRIMARY KEY, prefix text);
INSERT INTO users(id, name) VALUES (1, 'alice');
INSERT INTO nodes(id, given_name, user_id, node_key, ipv4)
    VALUES (1, 'laptop', 1, 'nodekey:aa', '100.64.0.1');
INSERT INTO pre_auth_keys VALUES (1, 'Wj3', 1, '[]', 0);
"""
Edit = Callable[[dict[str, Any]], None]


def write_key(path: Path) -> str:
    """A new private key in Headscale's form; its public half."""
    private = X25519PrivateKey.generate()
    path.write_text(f"privkey:{private.private_bytes_raw().hex()}")
    return private.public_key().public_bytes_raw().hex()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """An unpacked snapshot in which all is as its manifest says."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in snapshot.CONFIGURATION:
        (folder / name).write_text(f"// {name}\n")
    server_key, derp_key = (write_key(folder / name) for name in snapshot.KEYS)
    with closing(sqlite3.connect(folder / snapshot.DATABASE, isolation_level=None)) as database:
        database.executescript(TABLES)
        facts = snapshot.database_facts(database)
    facts |= {"server_key": f"mkey:{server_key}", "derp_key": derp_key}
    facts |= {"policy_sha256": snapshot.policy_digest(folder)}
    manifest = {"id": ID, "created_at": "2026-11-23T12:00:00Z", "image": "x", "facts": facts}
    manifest |= {"files": {name: snapshot.fact(folder / name) for name in REQUIRED_FILES}}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def edit(folder: Path, change: Edit) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def state_as_found(folder: Path) -> None:
    """A cunning host: the manifest's hashes are those of the files as they now are."""
    files = {n: snapshot.fact(folder / n) for n in REQUIRED_FILES if (folder / n).exists()}
    edit(folder, lambda manifest: manifest["files"].update(files))


def test_a_good_snapshot_is_verified(good: Path) -> None:
    facts = verify(ID, good, Anchor()).facts
    pinned = Anchor(server_key=facts.server_key, derp_key=facts.derp_key)
    assert verify(ID, good, pinned).id == ID


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_missing_file_fails_it(good: Path, name: str) -> None:
    (good / name).unlink()
    with pytest.raises(BackupFailed, match=f"{ID} is bad: {name}: expected in the snapshot"):
        verify(ID, good, Anchor())


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_file_that_the_manifest_does_not_list_fails_it(good: Path, name: str) -> None:
    edit(good, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(BackupFailed, match=f"{name}: expected in the manifest"):
        verify(ID, good, Anchor())


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_one_flipped_bit_fails_it(good: Path, name: str) -> None:
    content = bytearray((good / name).read_bytes())
    content[len(content) // 2] ^= 1
    (good / name).write_bytes(content)

    (problem,) = check_files(good, Manifest.model_validate_json((good / MANIFEST).read_bytes()))
    assert problem.startswith(f"{name}: expected SHA-256 ")
    with pytest.raises(BackupFailed, match=f"{name}: expected SHA-256 [0-9a-f]{{64}}, found "):
        verify(ID, good, Anchor())


def test_a_shorter_file_fails_it_by_its_size(good: Path) -> None:
    (good / "derp.yaml").write_text("")
    with pytest.raises(BackupFailed, match=r"derp\.yaml: expected 13 bytes, found 0\."):
        verify(ID, good, Anchor())


def test_the_manifest_of_another_snapshot_fails_it(good: Path) -> None:
    with pytest.raises(BackupFailed, match=f"expected id 20261123T130000Z .*, found {ID}"):
        verify("20261123T130000Z", good, Anchor())


def test_a_time_other_than_the_id_fails_it(good: Path) -> None:
    edit(good, lambda manifest: manifest.update(created_at="2026-11-23T12:00:01Z"))
    with pytest.raises(BackupFailed, match="manifest: expected id"):
        verify(ID, good, Anchor())


def test_a_time_without_a_zone_fails_it(good: Path) -> None:
    edit(good, lambda manifest: manifest.update(created_at="2026-11-23T12:00:00"))
    with pytest.raises(BackupFailed, match="manifest: expected id"):
        verify(ID, good, Anchor())


def test_a_snapshot_from_the_future_fails(good: Path) -> None:
    edit(good, lambda m: m.update(id="20991231T000000Z", created_at="2099-12-31T00:00:00Z"))
    with pytest.raises(BackupFailed, match="expected a time before"):
        verify("20991231T000000Z", good, Anchor())


@pytest.mark.parametrize("name", snapshot.KEYS)
def test_a_foreign_key_contradicts_the_manifest(good: Path, name: str) -> None:
    write_key(good / name)
    state_as_found(good)
    with pytest.raises(BackupFailed, match=f"{name}: its public key is .*, the manifest says"):
        verify(ID, good, Anchor())


@pytest.mark.parametrize(
    ("name", "fact", "prefix"),
    [(snapshot.KEYS[0], "server_key", "mkey:"), (snapshot.KEYS[1], "derp_key", "")],
)
def test_a_foreign_key_in_file_and_manifest_contradicts_the_anchor(
    good: Path, name: str, fact: str, prefix: str
) -> None:
    pinned = verify(ID, good, Anchor()).facts
    foreign = prefix + write_key(good / name)
    state_as_found(good)
    edit(good, lambda manifest: manifest["facts"].update({fact: foreign}))
    verify(ID, good, Anchor())  # by itself it is consistent

    with pytest.raises(BackupFailed, match=f"{name}: its public key is {foreign}, we pinned"):
        verify(ID, good, Anchor(server_key=pinned.server_key, derp_key=pinned.derp_key))


@pytest.mark.parametrize("text", ["", "privkey:", "privkey:" + "g" * 64, "mkey:" + "a" * 64])
def test_a_file_without_a_private_key_is_told(good: Path, text: str) -> None:
    (good / snapshot.KEYS[0]).write_text(text)
    state_as_found(good)
    with pytest.raises(BackupFailed, match=r"noise_private\.key: expected a private key"):
        verify(ID, good, Anchor())


def test_a_public_key_is_derived_as_in_rfc_7748(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("privkey:77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a\n")
    assert public_key(path) == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"


def test_an_empty_policy_fails_it(good: Path) -> None:
    (good / "policy.hujson").write_text(" \n")
    state_as_found(good)
    digest = snapshot.policy_digest(good)
    edit(good, lambda manifest: manifest["facts"].update(policy_sha256=digest))
    with pytest.raises(BackupFailed, match=r"policy\.hujson: expected a policy, found an empty"):
        verify(ID, good, Anchor())


def test_another_policy_than_in_the_facts_fails_it(good: Path) -> None:
    edit(good, lambda manifest: manifest["facts"].update(policy_sha256="0" * 64))
    with pytest.raises(BackupFailed, match=r"policy\.hujson: expected SHA-256 0000"):
        verify(ID, good, Anchor())


def test_many_problems_are_told_in_a_bounded_message(good: Path) -> None:
    for name in REQUIRED_FILES:
        (good / name).unlink()
    with pytest.raises(BackupFailed, match=r"\(and 1 more\)"):
        verify(ID, good, Anchor())


# --- the database, with hashes that a cunning host made fit -------------------------------------


def change_database(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / snapshot.DATABASE, isolation_level=None)) as database:
        database.executescript(sql)
    state_as_found(folder)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM users", "users: expected 1 rows, found 0"),
        ("INSERT INTO users(name) VALUES ('eve')", "users: expected 1 rows, found 2"),
        ("UPDATE users SET name = 'eve'", "users, number 1: expected 'alice', found 'eve'"),
        ("UPDATE nodes SET node_key = 'nodekey:ee'", "nodes, number 1: .*aa.*, found .*nodekey:ee"),
        ("UPDATE nodes SET approved_routes = '[\"0.0.0.0/0\"]'", "nodes, number 1: .*found .*0/0"),
        ("CREATE TABLE stray(x)", "stray: expected no rows, found 0"),
        ("DROP TABLE nodes", "expected an intact database, found: .*no such table: nodes"),
        ("UPDATE pre_auth_keys SET reusable = 1", "credentials, number 1: .*found .*reusable=True"),
        ("UPDATE nodes SET machine_key = 'mkey:ee'", "nodes, number 1: .*found .*mkey:ee"),
        ("CREATE VIEW v AS SELECT 1", "found: 1 objects are neither plain tables nor indexes"),
        ("CREATE VIRTUAL TABLE t USING fts5(a)", "found: 1 objects are neither"),
        (
            "PRAGMA writable_schema = ON; CREATE TABLE t(a);"
            "UPDATE sqlite_master SET sql = 'create virtual table t using fts5(a)' WHERE name = 't'",
            "found: 1 objects are neither",
        ),
        ("CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END", "found: 1 objects"),
        ("UPDATE nodes SET tags = '{'", "expected an intact database, found: .*JSONDecodeError"),
        (
            "UPDATE nodes SET tags = '[1, 2]'",
            "expected an intact database, found: values of another form .*nodes.0.tags",
        ),
        ("UPDATE nodes SET given_name = x'ff'", "expected an intact database, found: "),
    ],
)
def test_a_database_other_than_the_manifest_says_fails_it(
    good: Path, sql: str, reason: str
) -> None:
    change_database(good, sql)
    with pytest.raises(BackupFailed, match=reason):
        verify(ID, good, Anchor())


def test_a_truncated_database_fails_it(good: Path) -> None:
    path = good / snapshot.DATABASE
    path.write_bytes(path.read_bytes()[:6000])
    state_as_found(good)
    with pytest.raises(BackupFailed, match="expected an intact database, found: "):
        verify(ID, good, Anchor())


def test_a_file_that_is_no_database_fails_it(good: Path) -> None:
    (good / snapshot.DATABASE).write_text("no database, but not empty")
    state_as_found(good)
    with pytest.raises(BackupFailed, match="file is not a database"):
        verify(ID, good, Anchor())


def test_a_wal_beside_the_database_is_not_looked_at(good: Path) -> None:
    (good / "db.sqlite-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(5000))
    before = (good / snapshot.DATABASE).read_bytes()
    assert verify(ID, good, Anchor()).id == ID
    assert (good / snapshot.DATABASE).read_bytes() == before
    assert not (good / "db.sqlite-shm").exists()
