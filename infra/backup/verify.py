"""Holds an unpacked snapshot against its own manifest, and against what we know ourselves."""

import hashlib
from pathlib import Path

from infra.model.snapshot import REQUIRED_FILES, FileFact, Manifest


def check_files(folder: Path, manifest: Manifest) -> list[str]:
    """Problems of an unpacked snapshot's files, as sentences: missing, or not as in the manifest.

    Only required files, sizes and SHA-256; empty: all is as the manifest says.
    """
    problems = [
        f"{name}: expected none, the manifest lists it."
        for name in sorted(manifest.files.keys() - set(REQUIRED_FILES))
    ]
    for name in REQUIRED_FILES:
        problems += _check_file(folder / name, manifest.files.get(name))
    return problems


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


def file_fact(path: Path) -> FileFact:
    """Size and SHA-256 of a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileFact(sha256=digest, size=path.stat().st_size)


def _difference(expected: FileFact, found: FileFact) -> str:
    if expected.size != found.size:
        return f"expected {expected.size} bytes, found {found.size}."
    return f"expected SHA-256 {expected.sha256}, found {found.sha256}."
