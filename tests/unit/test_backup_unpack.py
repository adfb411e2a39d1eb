"""Archives from a host that is assumed compromised."""

import io
import tarfile
from pathlib import Path

import pytest

from infra.backup.unpack import MAX_OTHER, unpack
from infra.errors import BackupFailed
from infra.model.snapshot import MANIFEST

#: No manifest, but a file of that name: what comes after it is what is tested.
FIRST = tarfile.TarInfo(MANIFEST)


def member(name: str, **attributes: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def archive(tmp_path: Path, *members: tarfile.TarInfo, tail: bytes = b"") -> Path:
    """A tar of these headers; contents are zeros, of at most 1 KiB."""
    made = tmp_path / "20261123T120000Z.tar"
    with made.open("wb") as stream:
        for info in members:
            stream.write(info.tobuf(tarfile.USTAR_FORMAT))
            size = max(0, min(info.size, 1024))
            stream.write(bytes(size + -size % tarfile.BLOCKSIZE))
        stream.write(tail or bytes(2 * tarfile.BLOCKSIZE))
    return made


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (member("../../etc/passwd"), "none of the files"),
        (member("/etc/passwd"), "none of the files"),
        (member("sub/db.sqlite"), "none of the files"),
        (member("db.sqlite\nx"), "none of the files"),
        (member("authorized_keys"), "none of the files"),
        (member("db.sqlite", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "none of the files"),
        (member("db.sqlite", type=tarfile.LNKTYPE, linkname=MANIFEST), "none of the files"),
        (member("db.sqlite", type=tarfile.DIRTYPE), "none of the files"),
        (member("db.sqlite", type=tarfile.CHRTYPE), "none of the files"),
        (member("db.sqlite", type=tarfile.GNUTYPE_SPARSE), "none of the files"),
        (member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=1024), "none of the files"),
        (member("PaxHeaders/db.sqlite", type=tarfile.XHDTYPE, size=1024), "none of the files"),
        (member(MANIFEST), "is there twice"),
        (member("config.yaml", size=MAX_OTHER + 1), "bytes, where"),
        (member("db.sqlite", size=2**32), "bytes, where"),
    ],
    ids=lambda value: value.name.replace("\n", " ") if isinstance(value, tarfile.TarInfo) else "",
)
def test_a_hostile_member_is_refused(tmp_path: Path, hostile: tarfile.TarInfo, reason: str) -> None:
    target = folder(tmp_path)
    with pytest.raises(BackupFailed, match=reason):
        unpack(archive(tmp_path, FIRST, hostile), target)
    assert [path.name for path in target.iterdir()] == [MANIFEST]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20261123T120000Z.tar", "files"]


#: Places in a header (POSIX, ustar).
NAME, SIZE, MAGIC = 0, 124, 257


def header(*, at: int, field: bytes) -> bytes:
    """Of a db.sqlite of 512 bytes, with `field` in one place and a checksum that is right."""
    made = bytearray(member("db.sqlite", size=512).tobuf(tarfile.USTAR_FORMAT))
    made[at : at + len(field)] = field
    made[148:156] = b"%06o\0 " % tarfile.calc_chksums(made)[0]  # type: ignore[attr-defined]
    return bytes(made)


CONTENT, END = bytes(512), bytes(1024)


def test_a_header_as_snapshots_have_it_is_read(tmp_path: Path) -> None:
    plain = header(at=SIZE, field=b"00000001000\0")
    with pytest.raises(BackupFailed, match="is no manifest"):  # it is an empty file
        unpack(archive(tmp_path, FIRST, tail=plain + CONTENT + END), folder(tmp_path))
    assert (tmp_path / "files" / "db.sqlite").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("at", "field"),
    [
        (SIZE, b"+0000001000\0"),
        (SIZE, b"0000000_1000"),
        (SIZE, b"0o000001000\0"),
        (SIZE, b"       1000\0"),
        (SIZE, b"1000\0\0\0\0\0\0\0\0"),
        (SIZE, b"00000001000 "),
        (SIZE, b"\x80" + (512).to_bytes(11, "big")),
        (SIZE, b"\xff" + (-512 % 2**88).to_bytes(11, "big")),
        (SIZE, b"\x80" + (2**40).to_bytes(11, "big")),
        (MAGIC, b"ustar  \0"),
        (MAGIC, bytes(8)),
        (NAME, b"db.sqlite\0x"),
    ],
)
def test_a_header_that_others_may_read_otherwise_is_refused(
    tmp_path: Path, at: int, field: bytes
) -> None:
    """What was verified must be what `tar` restores."""
    tail = header(at=at, field=field) + CONTENT + END
    with pytest.raises(BackupFailed, match="is not written as snapshots are: at byte 1024"):
        unpack(archive(tmp_path, FIRST, tail=tail), folder(tmp_path))


def test_nothing_may_follow_an_archives_end(tmp_path: Path) -> None:
    more = member("config.yaml").tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(BackupFailed, match="goes on after its end"):
        unpack(archive(tmp_path, FIRST, tail=END + more + END), folder(tmp_path))


def test_the_manifest_has_to_come_first(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="comes first"):
        unpack(archive(tmp_path, member("config.yaml")), folder(tmp_path))


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    cut = archive(tmp_path, FIRST, member("db.sqlite", size=4096), tail=b"x")
    with pytest.raises(BackupFailed, match="is cut off"):
        unpack(cut, folder(tmp_path))


def test_an_archive_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="is no tar archive, or is cut off"):
        unpack(archive(tmp_path, FIRST, tail=b"x"), folder(tmp_path))


def test_a_compressed_archive_is_not_looked_into(tmp_path: Path) -> None:
    made = tmp_path / "20261123T120000Z.tar"
    with tarfile.open(made, "w:gz") as tar:
        tar.addfile(FIRST, io.BytesIO(b""))
    with pytest.raises(BackupFailed, match="no tar archive"):
        unpack(made, folder(tmp_path))


def test_a_huge_archive_is_not_even_opened(tmp_path: Path) -> None:
    made = tmp_path / "20261123T120000Z.tar"
    with made.open("wb") as stream:
        stream.truncate(600 * 1024 * 1024)  # sparse
    with pytest.raises(BackupFailed, match="nothing was unpacked"):
        unpack(made, folder(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "{" * 100_000, '{"format": 2}', '{"id": "../../x"}', "\xff"],
    ids=["empty", "a list", "nothing in it", "deep", "other format", "path as id", "no UTF-8"],
)
def test_a_bad_manifest_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    content = text.encode("latin-1")
    made = tmp_path / "20261123T120000Z.tar"
    with tarfile.open(made, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(member(MANIFEST, size=len(content)), io.BytesIO(content))
    with pytest.raises(BackupFailed, match="is no manifest") as refused:
        unpack(made, folder(tmp_path))
    assert len(str(refused.value)) < 400
    assert "../../x" not in str(refused.value)
