"""Unpacks a snapshot's archive, which comes from a host that is assumed compromised.

tarfile's own reader follows extension headers (long names, sparse maps, links) before anybody can
object. Here each header block is parsed alone, and only a regular file with one of the expected
plain names gets any further. A restore is done by GNU tar, which takes some headers otherwise than
tarfile (a size of `+10` is 3,444 bytes for one and 8 for the other): so a header has to be,
byte for byte, what tarfile writes, as snapshot.py does on the host.
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from infra.errors import BackupFailed
from infra.model.snapshot import DATABASE, MANIFEST, REQUIRED_FILES, Manifest

#: Bytes; of a whole archive, of the database, of the manifest, of any other file.
MAX_ARCHIVE = 256 * 1024 * 1024
MAX_DATABASE = 240 * 1024 * 1024
MAX_MANIFEST = 8 * 1024 * 1024
MAX_OTHER = 1024 * 1024

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1024 * 1024


def unpack(tar: Path, folder: Path) -> Manifest:
    """Unpack `<id>.tar` into the empty `folder` (files 0600) and return its manifest.

    Says nothing about completeness: that is `infra.backup.verify`. Raises BackupFailed for
    anything but an uncompressed ustar of expected names, manifest.json first.
    """
    if tar.stat().st_size > MAX_ARCHIVE:
        raise BackupFailed(f"{tar.name} has more than {MAX_ARCHIVE} bytes; nothing was unpacked.")
    seen: set[str] = set()
    with tar.open("rb") as archive:
        for member in _members(archive, tar.name):
            _refuse_unexpected(member, seen, tar.name)
            _copy(archive, member, folder / member.name)
            seen.add(member.name)
    return read_manifest(folder)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in an unpacked snapshot; raises BackupFailed when it is not one."""
    path = folder / MANIFEST
    if not path.is_file() or path.stat().st_size > MAX_MANIFEST:
        raise BackupFailed(f"{MANIFEST} is missing or has more than {MAX_MANIFEST} bytes.")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        # The input itself is left out: it is the host's text.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2])[:80]
        raise BackupFailed(f"{MANIFEST} is no manifest: {where!r}: {first['msg'][:200]}") from None


def _members(archive: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    """Headers one after the other; the reader is left at the member's first byte."""
    while True:
        block = archive.read(_BLOCK)
        if block == bytes(_BLOCK):
            _refuse_more(archive, name)
            return
        try:
            member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            if member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict") != block:
                raise tarfile.HeaderError
        except (tarfile.HeaderError, ValueError):
            raise BackupFailed(
                f"{name} is no tar archive, or is cut off, or is not written as snapshots are: at "
                f"byte {archive.tell()}."
            ) from None
        end = archive.tell() + -(-member.size // _BLOCK) * _BLOCK
        yield member
        archive.seek(end)


def _refuse_more(archive: BinaryIO, name: str) -> None:
    """Whether a zero block ends an archive depends on who reads it: only zeros may follow."""
    while chunk := archive.read(_CHUNK):
        if chunk.strip(b"\0"):
            raise BackupFailed(f"{name} is refused: it goes on after its end.")


def _refuse_unexpected(member: tarfile.TarInfo, seen: set[str], archive: str) -> None:
    limits = dict.fromkeys(REQUIRED_FILES, MAX_OTHER)
    limits |= {DATABASE: MAX_DATABASE, MANIFEST: MAX_MANIFEST}
    problem = ""
    if member.type != tarfile.REGTYPE or member.name not in limits:
        problem = "is none of the files that a snapshot holds"
    elif member.name in seen:
        problem = "is there twice"
    elif not seen and member.name != MANIFEST:
        problem = f"comes first, where {MANIFEST} must stand"
    elif not 0 <= member.size <= limits[member.name]:
        problem = f"claims {member.size} bytes, where {limits[member.name]} are allowed"
    if problem:
        raise BackupFailed(f"{archive} is refused: {member.name[:80]!r} {problem}.")


def _copy(archive: BinaryIO, member: tarfile.TarInfo, target: Path) -> None:
    left = member.size
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(target, flags, 0o600), "wb") as stream:
        while left:
            chunk = archive.read(min(left, _CHUNK))
            if not chunk:
                raise BackupFailed(f"{target.name} is cut off: {left} of {member.size} bytes lack.")
            stream.write(chunk)
            left -= len(chunk)
