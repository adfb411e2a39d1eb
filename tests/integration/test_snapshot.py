"""The sidecar beside a real Headscale, in the images and with the files of the rollout."""

import io
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.models.containers import Container

from infra.backup.unpack import unpack
from infra.backup.verify import verify
from infra.images.ensure import ensure_image
from infra.model.anchor import Anchor
from infra.model.site import Site
from infra.model.snapshot import Manifest
from infra.rollout.render import SIDECAR_IMAGE, render_stacks

PREFIX = "mk-sidecar"
NOISE_KEY = "noise_private.key"


@dataclass
class Stack:
    """Headscale and its sidecar, and their folder on this machine."""

    folder: Path
    headscale: Container
    sidecar: Container

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    def snapshot(self, *options: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of one snapshot."""
        command = ["python3", "/backup/snapshot.py", *options]
        status, (out, err) = self.sidecar.exec_run(command, demux=True)
        return status, (out or b"").decode().strip(), (err or b"").decode().strip()

    def verified(self, snapshot: str) -> tuple[Manifest, Path]:
        folder = self.folder / snapshot
        folder.mkdir()
        unpack(self.backups / f"{snapshot}.tar", folder)
        return verify(snapshot, folder, Anchor()), folder

    def archives(self) -> list[str]:
        return sorted(path.stem for path in self.backups.glob("*.tar"))


@pytest.fixture(scope="module")
def stack(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    clear(engine)
    engine.networks.create(PREFIX, internal=True)
    try:
        yield start(engine, folder)
    finally:
        clear(engine)


def site() -> Site:
    return Site.model_validate(
        {
            "domain": "cronova.test",
            "hosts": {"vps": {"address": "192.0.2.7", "admin_keys": ["ssh-ed25519 AAAA me"]}},
            "stacks": {
                "headscale": {
                    "host": "vps",
                    "base_domain": "mesh.cronova.test",
                    "derp": {"maps": []},
                },
                "caddy": {"host": "vps"},
            },
            "backup": {"repository": "/nowhere", "password": {"secret": "x"}},
        }
    )


def start(engine: DockerClient, folder: Path) -> Stack:
    """Both as in docker-compose.yml: no capability, read-only roots, the same mounts."""
    for path, file in render_stacks(site())["headscale"].files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(file.content)
    for name in ("data", "backups"):
        (folder / name).mkdir()
    shared: dict[str, Any] = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "network": PREFIX,
        "detach": True,
    }
    config, data = f"{folder}/config:/etc/headscale:ro", f"{folder}/data:/var/lib/headscale"
    image = f"headscale/headscale:{site().stacks.headscale.version}"
    headscale = engine.containers.run(
        ensure_image(image),
        "serve",
        name=f"{PREFIX}-headscale",
        tmpfs={"/var/run/headscale": ""},
        volumes=[config, data],
        **shared,
    )
    until(lambda: headscale.exec_run(["headscale", "health"]).exit_code == 0)
    sidecar = engine.containers.run(
        ensure_image(SIDECAR_IMAGE),
        ["/bin/sh", "/backup/backup.sh"],
        name=f"{PREFIX}-backup",
        init=True,
        mem_limit="64m",
        environment={
            "MESHKEEPER_IMAGE": image,
            "HEADSCALE_URL": f"http://{PREFIX}-headscale:8080",
            "BACKUP_KEEP_DAYS": "14",
        },
        volumes=[config, data, f"{folder}:/backup:ro", f"{folder}/backups:/backups"],
        **shared,
    )
    return Stack(folder, headscale, sidecar)


def clear(engine: DockerClient) -> None:
    for container in engine.containers.list(all=True, filters={"name": PREFIX}):
        container.remove(force=True, v=True)
    for network in engine.networks.list(names=[PREFIX]):
        network.remove()


def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.2)


def test_the_loop_makes_one_by_itself_at_its_start(stack: Stack) -> None:
    until((stack.backups / "last-own").exists)
    assert (stack.backups / "last-own").read_text().strip() in stack.archives()


def test_a_snapshot_of_the_real_server_is_verified(stack: Stack) -> None:
    status, snapshot, errors = stack.snapshot()
    assert (status, errors) == (0, "")
    manifest, _ = stack.verified(snapshot)
    assert manifest.facts.server_key.startswith("mkey:")
    assert manifest.facts.tables["migrations"] > 0
    assert (stack.backups / f"{snapshot}.tar").stat().st_mode & 0o777 == 0o640


def test_a_user_still_in_the_wal_is_in_the_snapshot(stack: Stack) -> None:
    assert stack.headscale.exec_run(["headscale", "users", "create", "late"]).exit_code == 0
    assert b"late" not in (stack.folder / "data" / "db.sqlite").read_bytes()

    manifest, folder = stack.verified(stack.snapshot()[1])

    assert "late" in manifest.facts.users
    with closing(sqlite3.connect(folder / "db.sqlite")) as database:
        assert ("late",) in database.execute("SELECT name FROM users").fetchall()


def test_two_at_the_same_time_become_two_snapshots(stack: Stack) -> None:
    before = len(stack.archives())
    script = "python3 /backup/snapshot.py & python3 /backup/snapshot.py; wait"
    status, output = stack.sidecar.exec_run(["sh", "-c", script])
    assert status == 0
    assert len(set(output.split())) == 2
    assert len(stack.archives()) == before + 2


@pytest.mark.parametrize("name", ["noise_private.key", "derp_server_private.key"])
def test_a_missing_key_makes_no_snapshot_and_is_told(stack: Stack, name: str) -> None:
    key, away = stack.folder / "data" / name, stack.folder / "away"
    before = stack.archives()
    key.rename(away)
    status, output, errors = stack.snapshot("--own")
    told = (stack.backups / "last-error").read_text()
    away.rename(key)

    assert (status, output) == (1, "")
    assert f"{name} is missing or empty: no snapshot was written." in errors
    assert errors in told
    assert stack.archives() == before
    assert stack.snapshot()[0] == 0
    assert not (stack.backups / "last-error").exists()


def test_a_stopped_server_makes_no_snapshot_and_is_told(stack: Stack) -> None:
    """Its identity can't be seen, and its data does not change: the last one still holds."""
    before = stack.archives()
    stack.headscale.stop(timeout=10)
    status, _, errors = stack.snapshot()
    stack.headscale.start()
    until(lambda: stack.headscale.exec_run(["headscale", "health"]).exit_code == 0)

    assert status == 1
    assert "Headscale does not show its keys" in errors
    assert stack.archives() == before
    stack.verified(stack.snapshot()[1])


def test_a_write_that_fails_leaves_no_half_snapshot(stack: Stack) -> None:
    """A file size limit stands in for a full disk: the same error, at the same calls."""
    before = stack.archives()
    script = "ulimit -f 4; python3 /backup/snapshot.py --own"
    status, output = stack.sidecar.exec_run(["sh", "-c", script])
    assert (status, stack.archives()) == (1, before), output
    assert "no snapshot was written" in (stack.backups / "last-error").read_text()
    assert not (stack.backups / ".draft").exists()


def test_the_loop_prunes_what_is_old_but_never_the_newest(stack: Stack) -> None:
    """Everything is old, as after a long failure; a restart runs the loop's body once."""
    fresh = stack.snapshot()[1]
    script = (
        "import os, pathlib; [os.utime(p, (0, 0)) for p in pathlib.Path('/backups').glob('*.tar')]"
    )
    assert stack.sidecar.exec_run(["python3", "-c", script]).exit_code == 0
    key = stack.folder / "data" / NOISE_KEY
    away = stack.folder / "away"
    key.rename(away)  # so that the restart makes no newer one
    stack.sidecar.restart(timeout=5)
    until(lambda: stack.archives() == [fresh])
    away.rename(key)
    stack.sidecar.reload()
    assert stack.sidecar.status == "running", "a failed snapshot ended the loop"


def test_the_archive_holds_nothing_but_private_plain_files(stack: Stack) -> None:
    content = (stack.backups / f"{stack.snapshot()[1]}.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = tar.getmembers()
    assert members[0].name == "manifest.json"
    assert {(m.type, m.mode, m.uid) for m in members} == {(tarfile.REGTYPE, 0o600, 0)}
