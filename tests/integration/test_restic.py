"""The real restic, in temporary directories."""

import shutil
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from infra.access.restic import Origin, Repository, RepositoryMissing
from infra.drill.isolation import PYTHON_IMAGE
from infra.errors import BackupFailed, RepositoryUnavailable
from infra.images.ensure import ensure_image
from infra.images.tools import restic_path
from infra.model.site import Retention

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
PASSWORD = "correct horse battery staple"
#: Of containers.
PREFIX = "mk-restic-"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository to copy: making one takes seconds, by design (its key's derivation)."""
    folder = tmp_path_factory.mktemp("empty")
    made = Repository(str(folder / "repository"), SecretStr(PASSWORD), folder / "cache")
    made.create()
    return folder / "repository"


@pytest.fixture
def repository(empty: Path, tmp_path: Path) -> Repository:
    shutil.copytree(empty, tmp_path / "repository")
    return Repository(str(tmp_path / "repository"), SecretStr(PASSWORD), tmp_path / "cache")


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


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def test_the_shells_own_password_file_does_not_count(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").write_text("another password")
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(tmp_path / "other"))
    made = Repository(str(tmp_path / "repository"), SecretStr(PASSWORD), tmp_path / "cache")
    made.create()
    monkeypatch.delenv("RESTIC_PASSWORD_FILE")
    assert made.backup(folder, origin())


@pytest.mark.parametrize("harm", [zero, cut_off, Path.unlink])
@pytest.mark.parametrize("where", ["data/*/*", "index/*"])
def test_damaged_data_is_a_bad_backup(
    repository: Repository, folder: Path, where: str, harm: Callable[[Path], object]
) -> None:
    restic_id = repository.backup(folder, origin())
    shutil.rmtree(folder.parent / "cache")  # which would serve what is harmed
    for path in Path(repository.location).glob(where):
        path.chmod(0o600)
        harm(path)

    with pytest.raises(BackupFailed, match="could not be restored"):
        repository.restore(restic_id, folder.parent / "restored")


def test_a_full_disk_says_nothing_of_the_backup(
    repository: Repository, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same restic in a container, whose place for what is restored has 4 KiB."""
    restic_id = repository.backup(folder, origin())
    in_container = tmp_path / "restic"
    in_container.write_text(f"""#!/bin/sh
exec docker run --rm --name {PREFIX}full-disk --tmpfs /full:size=4k --env RESTIC_REPOSITORY --env RESTIC_PASSWORD \\
  --volume {restic_path()}:/restic:ro --volume {tmp_path}:{tmp_path} --entrypoint /restic \\
  {ensure_image(PYTHON_IMAGE)} "$@" --no-cache
""")
    in_container.chmod(0o700)
    monkeypatch.setattr("infra.access.restic.restic_path", lambda: in_container)

    with pytest.raises(RepositoryUnavailable, match="no space left on device"):
        repository.restore(restic_id, Path("/full"))


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


class _Asked(BaseHTTPRequestHandler):
    """A server that knows no repository, and remembers who asked."""

    who: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        self.who.add(self.headers["Authorization"])
        self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        return


def test_a_server_is_given_the_credentials_and_no_error_shows_them(tmp_path: Path) -> None:
    credentials = {
        "RESTIC_REST_USERNAME": SecretStr("me"),
        "RESTIC_REST_PASSWORD": SecretStr("hunter2"),
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), _Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        location = f"rest:http://127.0.0.1:{server.server_port}/mesh/"
        remote = Repository(location, SecretStr(PASSWORD), tmp_path / "cache", credentials)
        with pytest.raises(RepositoryMissing) as missing:
            remote.snapshots()
        server.shutdown()
    assert _Asked.who == {f"Basic {b64encode(b'me:hunter2').decode()}"}
    assert "hunter2" not in str(missing.value)
