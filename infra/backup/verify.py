"""Holds an unpacked snapshot against its own manifest, and against what we know ourselves."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.backup.database import check_database
from infra.backup.keys import public_key
from infra.backup.unpack import read_manifest
from infra.errors import BackupFailed
from infra.model.anchor import Anchor
from infra.model.snapshot import (
    DATABASE,
    DERP_KEY,
    NOISE_KEY,
    POLICY,
    REQUIRED_FILES,
    FileFact,
    Manifest,
    SnapshotId,
)

#: How far the host's clock may be ahead of ours.
CLOCK_TOLERANCE = timedelta(minutes=5)
_TOLD = 6


def verify(snapshot: SnapshotId, folder: Path, anchor: Anchor) -> Manifest:
    """The manifest of the snapshot that was unpacked to `folder`, if all that it says is true.

    Raises BackupFailed with snapshot, file, expected and found.
    """
    manifest = read_manifest(folder)
    problems = [
        *check_files(folder, manifest),
        *check_time(snapshot, manifest, datetime.now(UTC)),
        *check_identity(folder, manifest, anchor),
        *check_policy(folder, manifest),
    ]
    if (folder / DATABASE).is_file():
        problems += check_database(folder / DATABASE, manifest.facts)
    if problems:
        more = [f"(and {len(problems) - _TOLD} more)"] if len(problems) > _TOLD else []
        told = " ".join([*problems[:_TOLD], *more])
        raise BackupFailed(f"Snapshot {snapshot} is bad: {told}")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> list[str]:
    """Problems of an unpacked snapshot's files, as sentences: missing, or not as in the manifest.

    Only required files, sizes and SHA-256; empty: all is as the manifest says.
    """
    problems = [
        f"{name!r}: expected none, the manifest lists it."
        for name in sorted(manifest.files.keys() - set(REQUIRED_FILES))
    ]
    for name in REQUIRED_FILES:
        problems += _check_file(folder / name, manifest.files.get(name))
    return problems


def check_time(snapshot: SnapshotId, manifest: Manifest, now: datetime) -> list[str]:
    """A snapshot's name, id and time are the same moment, and it has passed."""
    moment = datetime.strptime(f"{snapshot}+0000", "%Y%m%dT%H%M%SZ%z")
    problems = []
    if (manifest.id, manifest.created_at) != (snapshot, moment):
        problems.append(
            f"manifest: expected id {snapshot} of {moment}, found {manifest.id} of {manifest.created_at}."
        )
    if moment > now + CLOCK_TOLERANCE:
        problems.append(
            f"manifest: expected a time before {now:%Y-%m-%d %H:%M} UTC, found {moment}."
        )
    return problems


def check_identity(folder: Path, manifest: Manifest, anchor: Anchor) -> list[str]:
    """Both private keys belong to the public ones that the manifest states and the anchor pins."""
    facts = manifest.facts
    return [
        *_check_key(folder / NOISE_KEY, facts.server_key, anchor.server_key, prefix="mkey:"),
        *_check_key(folder / DERP_KEY, facts.derp_key, anchor.derp_key),
    ]


def check_policy(folder: Path, manifest: Manifest) -> list[str]:
    """The policy has content, and is the one in the facts."""
    path, expected = folder / POLICY, manifest.facts.policy_sha256
    if not path.is_file():
        return []
    if not path.read_bytes().strip():
        return [f"{POLICY}: expected a policy, found an empty file."]
    found = file_fact(path).sha256
    return [] if found == expected else [f"{POLICY}: expected SHA-256 {expected}, found {found}."]


def file_fact(path: Path) -> FileFact:
    """Size and SHA-256 of a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileFact(sha256=digest, size=path.stat().st_size)


def _check_file(path: Path, expected: FileFact | None) -> list[str]:
    problems = []
    if expected is None:
        problems.append(f"{path.name}: expected in the manifest, but it is not listed there.")
    if not path.is_file():
        problems.append(f"{path.name}: expected in the snapshot, but it is missing.")
    if problems or expected is None:
        return problems
    found = file_fact(path)
    return [] if found == expected else [f"{path.name}: {_difference(expected, found)}"]


def _difference(expected: FileFact, found: FileFact) -> str:
    if expected.size != found.size:
        return f"expected {expected.size} bytes, found {found.size}."
    return f"expected SHA-256 {expected.sha256}, found {found.sha256}."


def _check_key(path: Path, stated: str, pinned: str | None, prefix: str = "") -> list[str]:
    if not path.is_file():
        return []
    public = public_key(path)
    if public is None:
        return [f"{path.name}: expected a private key, found none in it."]
    found = f"{prefix}{public}"
    problems = []
    if found != stated:
        problems.append(f"{path.name}: its public key is {found}, the manifest says {stated!r}.")
    if pinned is not None and found != pinned:
        problems.append(f"{path.name}: its public key is {found}, we pinned {pinned}.")
    return problems
