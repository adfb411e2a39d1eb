"""Sabotages: each takes an unpacked snapshot and harms it the way its name says."""

import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.model.snapshot import DATABASE, DERP_KEY, MANIFEST, NOISE_KEY, POLICY
from tests.integration.sabotage.production import Production

Act = Callable[[Path, Production], None]


def keyless(folder: Path, _production: Production) -> None:
    """The noise key is missing, and the manifest does not list it either."""
    forget(folder, NOISE_KEY)


def without_relay_key(folder: Path, _production: Production) -> None:
    forget(folder, DERP_KEY)


def foreign_key(folder: Path, _production: Production) -> None:
    """Another key in the file, and its public half in the manifest: they agree with each other."""
    (folder / NOISE_KEY).write_text(FOREIGN_PRIVATE)
    refresh(folder, NOISE_KEY)
    edit(folder, lambda manifest: manifest["facts"].update(server_key=FOREIGN_PUBLIC))


def truncated_database(folder: Path, _production: Production) -> None:
    path = folder / DATABASE
    path.write_bytes(path.read_bytes()[: 5 * 4096])


def last_transaction_missing(folder: Path, production: Production) -> None:
    """As a plain copy of a live database loses what is still in its WAL."""
    shutil.copyfile(production.earlier.folder / DATABASE, folder / DATABASE)
    refresh(folder, DATABASE)


def rows_missing(folder: Path, _production: Production) -> None:
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("DELETE FROM nodes WHERE given_name = 'client-b'")
    refresh(folder, DATABASE)


def another_canary(folder: Path, _production: Production) -> None:
    """Under the canary's name and address another machine is registered: all agree on that."""
    keys = {"node_key": f"nodekey:{'ab' * 32}", "machine_key": f"mkey:{'cd' * 32}"}
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute(
            "UPDATE nodes SET node_key = :node_key, machine_key = :machine_key"
            " WHERE given_name = 'meshkeeper-canary'",
            keys,
        )
    refresh(folder, DATABASE)
    edit(folder, lambda manifest: canary_of(manifest).update(keys))


def canary_of(manifest: dict[str, Any]) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = manifest["facts"]["nodes"]
    return next(node for node in nodes if node["name"] == "meshkeeper-canary")


def contradicting_version(folder: Path, _production: Production) -> None:
    edit(folder, lambda manifest: manifest.update(image="headscale/headscale:0.28.0"))


def manifest_of_another(folder: Path, production: Production) -> None:
    shutil.copyfile(production.earlier.folder / MANIFEST, folder / MANIFEST)


def flipped_byte(folder: Path, _production: Production) -> None:
    """In space that the database does not use: nothing but a hash can notice."""
    path = folder / DATABASE
    content = bytearray(path.read_bytes())
    content[content.rindex(bytes(64)) + 32] ^= 1
    path.write_bytes(content)


def empty_policy(folder: Path, _production: Production) -> None:
    (folder / POLICY).write_bytes(b"")
    refresh(folder, POLICY)


def unknown_image(folder: Path, _production: Production) -> None:
    edit(folder, lambda manifest: manifest.update(image="headscale/headscale:0.29.99"))


def none(_folder: Path, _production: Production) -> None:
    """The snapshot is good; what is wrong lies elsewhere."""


def forget(folder: Path, name: str) -> None:
    (folder / name).unlink()
    edit(folder, lambda manifest: manifest["files"].pop(name))


def refresh(folder: Path, name: str) -> None:
    """Let the manifest agree with the changed file."""
    content = (folder / name).read_bytes()
    fact = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    edit(folder, lambda manifest: manifest["files"].update({name: fact}))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


#: A Curve25519 pair made for this test, as headscale writes and shows it.
FOREIGN_PRIVATE = "privkey:0002030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f60"
FOREIGN_PUBLIC = "mkey:07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
