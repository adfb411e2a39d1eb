"""The real restic, in temporary directories."""

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.access.restic import Origin, Repository, RepositoryMissing
from infra.errors import BackupFailed, RepositoryUnavailable
from infra.images.tools import restic_path
from infra.model.site import Retention

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
PASSWORD = "correct horse battery staple"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(str(tmp_path / "repository"), SecretStr(PASSWORD), tmp_path / "cache")
    made.create()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    (made / "headscale.tar").write_bytes(b"some bytes" * 1000)
    return made


def origin(hours_later: int = 0, *tags: str) -> Origin:
    return Origin(host="example.org", time=NOON + timedelta(hours=hours_later), tags=("a", *tags))


def test_what_was_stored_comes_back_with_its_own_time_and_tags(
    repository: Repository, folder: Path, tmp_path: Path
) -> None:
    restic_id = repository.backup(folder, origin(0, "snapshot=x"))

    (stored,) = repository.snapshots(["a", "snapshot=x"])
    assert (stored.id, stored.time, set(stored.tags)) == (restic_id, NOON, {"a", "snapshot=x"})
    repository.restore(restic_id, tmp_path / "restored")
    restored = tmp_path / "restored" / "headscale.tar"
    assert restored.read_bytes() == (folder / "headscale.tar").read_bytes()


def test_snapshots_are_found_by_all_of_their_tags(repository: Repository, folder: Path) -> None:
    repository.backup(folder, origin(0, "snapshot=x"))
    repository.backup(folder, origin(1, "snapshot=y"))

    assert len(repository.snapshots(["a"])) == 2
    assert [s.time for s in repository.snapshots(["a", "snapshot=y"])] == [
        NOON + timedelta(hours=1)
    ]
    assert repository.snapshots(["a", "snapshot=z"]) == ()


def test_the_retention_counts_hours_and_never_takes_the_newest(
    repository: Repository, folder: Path
) -> None:
    for hours in range(4):
        repository.backup(folder, origin(hours))
    none = Retention(hourly=0, daily=0, weekly=0, monthly=0)

    kept = repository.forget(["a"], none.model_copy(update={"hourly": 2}))
    assert [stored.time for stored in kept] == [NOON + timedelta(hours=h) for h in (2, 3)]
    assert [stored.time for stored in repository.forget(["a"], none)] == [NOON + timedelta(hours=3)]
    repository.check()


def test_an_empty_repository_has_nothing_to_forget(repository: Repository) -> None:
    assert repository.forget(["a"], Retention()) == ()


def test_a_missing_repository_is_told_from_a_wrong_password(
    repository: Repository, tmp_path: Path
) -> None:
    elsewhere = Repository(str(tmp_path / "nothing"), SecretStr(PASSWORD), tmp_path / "cache")
    with pytest.raises(RepositoryMissing, match=r"There is no restic repository .*/nothing"):
        elsewhere.snapshots()
    stranger = Repository(repository.location, SecretStr("wrong"), tmp_path / "cache")
    with pytest.raises(RepositoryUnavailable, match="password does not open") as wrong:
        stranger.snapshots()
    assert "wrong" not in str(wrong.value)


def test_damaged_data_fails_the_restore_and_the_check(
    repository: Repository, folder: Path, tmp_path: Path
) -> None:
    restic_id = repository.backup(folder, origin())
    for pack in Path(repository.location, "data").glob("*/*"):
        pack.chmod(0o600)
        pack.write_bytes(b"\0" * pack.stat().st_size)

    with pytest.raises(BackupFailed, match="could not be restored"):
        repository.restore(restic_id, tmp_path / "restored")


def test_lost_packs_fail_the_check(repository: Repository, folder: Path) -> None:
    repository.backup(folder, origin())
    for pack in Path(repository.location, "data").glob("*/*"):
        pack.unlink()

    with pytest.raises(BackupFailed, match="is damaged"):
        repository.check()


@pytest.fixture
def slow_backup(repository: Repository) -> Iterator["subprocess.Popen[bytes]"]:
    """A real restic that holds its lock, since its source (our pipe) does not end."""
    environment = {"RESTIC_REPOSITORY": repository.location, "RESTIC_PASSWORD": PASSWORD}
    command = [str(restic_path()), "backup", "--stdin", "--no-cache"]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not list(Path(repository.location, "locks").iterdir()):
        assert time.monotonic() < deadline, "restic took no lock"
        time.sleep(0.05)
    yield process
    process.kill()
    process.communicate()


def test_the_lock_of_a_killed_restic_blocks_nothing(
    repository: Repository, slow_backup: "subprocess.Popen[bytes]"
) -> None:
    slow_backup.kill()
    slow_backup.wait()
    assert list(Path(repository.location, "locks").iterdir()), "the killed one left its lock"

    assert repository.forget(["a"], Retention()) == ()


def test_the_lock_of_a_living_restic_is_waited_for(
    repository: Repository, slow_backup: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.access.restic.PATIENCE", "3s")
    with pytest.raises(RepositoryUnavailable, match="is locked"):
        repository.forget(["a"], Retention())
    assert slow_backup.poll() is None
    assert list(Path(repository.location, "locks").iterdir()), "a living lock must stay"


def test_credentials_in_a_location_are_not_shown(tmp_path: Path) -> None:
    location = "rest:https://me:secret@example.org:8000/me/"
    shown = str(Repository(location, SecretStr("p"), tmp_path))
    assert shown == "rest:https://…@example.org:8000/me/"
