"""A host for the release program: a folder, an engine that remembers, and a sidecar."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import Any

import pytest

from infra.access.bundle import joined
from infra.rollout import files


def on_a_host(modules: tuple[str, ...]) -> Any:
    """A program as a host gets it: one module."""
    module = ModuleType("host_program")
    exec(joined(files.PACKAGE, modules), vars(module))  # noqa: S102
    return module


host_program = on_a_host(files.CHANGES)
SERVER = "headscale"
DATABASE, KEYS = "db.sqlite", ("noise_private.key", "derp_server_private.key")


class Host:
    """`images`: ids by name; `running`: the container's image id, or none; `said`: docker's arguments."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stack = root / "stack"
        self.data = self.stack / "data"
        self.backups = root / "backups"
        self.images: dict[str, str] = {}
        self.running = ""
        self.sidecar_fails = ""
        self.deadline = 0
        self.said: list[tuple[str, ...]] = []

    def docker(self, *words: str, **_: Any) -> "CompletedProcess[str]":
        self.said.append(words)
        answers = {
            ("image", "inspect"): lambda: self._image(words[-1]),
            ("image", "rm"): lambda: self._removed(words[-1]),
            ("inspect", "--type"): lambda: self._container(words),
            ("exec", "headscale-backup"): self._snapshot,
            ("tag", words[1]): lambda: self._tagged(words[1], words[2]),
        }
        return answers.get(words[:2], lambda: done(""))()

    def _image(self, name: str) -> "CompletedProcess[str]":
        number = name if name in self.images.values() else self.images.get(name, "")
        return done(number, status=0 if number else 1)

    def _removed(self, number: str) -> "CompletedProcess[str]":
        self.images = {name: known for name, known in self.images.items() if known != number}
        return done("")

    def _tagged(self, number: str, name: str) -> "CompletedProcess[str]":
        self.images[name] = number
        return done("")

    def _container(self, words: tuple[str, ...]) -> "CompletedProcess[str]":
        if not self.running:
            return done("", status=1)
        first = "true" if "State" in words[4] else "headscale:1"
        return done(f"{first} {self.running}")

    def _snapshot(self) -> "CompletedProcess[str]":
        if self.sidecar_fails:
            return done("", status=1, errors=self.sidecar_fails)
        number = len(list(self.backups.glob("*.tar"))) + 1
        name = f"20261127T0930{number:02}Z"
        self.write_snapshot(self.backups / f"{name}.tar", name)
        return done(f"{name}\n")

    def write_snapshot(self, path: Path, name: str, database: bytes | None = None) -> None:
        """As the sidecar's program writes it; `database`: other bytes than the manifest has."""
        files = {file: (self.data / file).read_bytes() for file in (DATABASE, *KEYS)}
        facts = {
            file: {"sha256": hashlib.sha256(content).hexdigest()} for file, content in files.items()
        }
        told = {"id": name, "image": "headscale:1", "files": facts}
        if database is not None:
            files[DATABASE] = database
        with tarfile.open(path, "w") as tar:
            for member, content in {"manifest.json": json.dumps(told).encode(), **files}.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

    def ask(self, step: str, content: str = "", **asked: Any) -> Any:
        """One step of the program, as the control machine asks for it."""
        request = {
            "stack": "headscale",
            "directory": str(self.stack),
            "admin": "root",
            "folders": {str(self.stack): 0o755, str(self.data): 0o700},
            "paths": ["compose.yml"],
            "containers": {SERVER: "headscale:1"},
            "server": SERVER,
            "sidecar": "headscale-backup",
            "database": DATABASE,
            "holds": KEYS,
            "backups": str(self.backups),
            "release": None,
            "files": {"compose.yml": content},
            "snapshot": False,
            **asked,
        }
        return getattr(host_program, step)(request)

    def roll_out(self, content: str, image: str, *, passes: bool = True) -> None:
        """A rollout whose image is there and gets the data; it is committed where its gate `passes`."""
        self.images["headscale:1"] = image
        self.ask("prepare", content, snapshot=bool(self.running) and self.running != image)
        self.running = image
        self.write_data(f"data of {image}")
        if passes:
            self.ask("commit")

    def write_data(self, database: str) -> None:
        for name in KEYS:
            (self.data / name).write_text("key")
        (self.data / DATABASE).write_text(database)

    @property
    def file(self) -> str:
        return (self.stack / "compose.yml").read_text()

    @property
    def database(self) -> str:
        return (self.data / DATABASE).read_text()

    @property
    def releases(self) -> list[Path]:
        return sorted((host_program.HOME / "headscale").glob("*Z"))


def done(output: str, status: int = 0, errors: str = "") -> "CompletedProcess[str]":
    return CompletedProcess((), status, output, errors)


def new_host(root: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(root)
    host.backups.mkdir()
    monkeypatch.setattr(host_program, "HOME", root / "releases")
    (root / "releases/headscale").mkdir(parents=True)
    monkeypatch.setattr(host_program, "docker", host.docker)
    monkeypatch.setattr(host_program.os, "chown", lambda *_: None)  # on a host it is root
    return host
