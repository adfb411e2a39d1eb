"""Images for another processor, by the real engine and the real compiler."""

import hashlib
import http.server
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from docker.errors import ImageNotFound

from infra.errors import ImageUnavailable
from infra.images import foreign
from infra.images.archive import add_bytes
from infra.images.catalog import RESTIC
from infra.images.engine import engine
from infra.images.foreign import foreign_archive
from infra.images.golang import build_programs
from infra.images.identity import configuration_of
from infra.images.platforms import Architecture, own

OTHER: Architecture = "arm64" if own() == "amd64" else "amd64"
MACHINES = {"amd64": 62, "arm64": 183}
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


class Registry(http.server.ThreadingHTTPServer):
    """As much of one as a pull asks: a name `thing` with the tag `1`, for these processors."""

    def __init__(self, *architectures: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.configurations = {name: self._image(name) for name in architectures}

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_port}/thing:1"

    def _image(self, architecture: str) -> str:
        """Adds it to the list; the digest of its configuration."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as root:
            add_bytes(root, "program", architecture.encode())
        layer = buffer.getvalue()
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
        described = self._blob("application/vnd.docker.container.image.v1+json", dumped(config))
        parts = [self._blob("application/vnd.docker.image.rootfs.diff.tar", layer)]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": parts}
        entry = self._blob(MANIFEST, dumped(manifest))
        entry |= {"platform": {"architecture": architecture, "os": "linux"}}
        _, before = self.blobs.get("1", (LIST, b'{"manifests": []}'))
        entries = [*json.loads(before)["manifests"], entry]
        self.blobs["1"] = (
            LIST,
            dumped({"schemaVersion": 2, "mediaType": LIST, "manifests": entries}),
        )
        self.blobs[digest(self.blobs["1"][1])] = self.blobs["1"]
        return str(described["digest"])

    def _blob(self, kind: str, content: bytes) -> dict[str, object]:
        self.blobs[digest(content)] = (kind, content)
        return {"mediaType": kind, "size": len(content), "digest": digest(content)}


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        kind, content = self.server.blobs.get(
            self.path.rpartition("/")[2], ("application/json", b"{}")
        )
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Docker-Content-Digest", digest(content))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - the server's own name

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


@contextmanager
def serving(*architectures: str) -> Iterator[Registry]:
    with Registry(*architectures) as registry:
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        try:
            yield registry
        finally:
            registry.shutdown()
            for image_id in registry.configurations.values():
                with suppress(ImageNotFound):
                    engine().images.remove(image_id, force=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(foreign, "registry_answers", lambda _: True)
    return tmp_path


@pytest.fixture
def both(cache: Path) -> Iterator[Registry]:
    with serving(own(), OTHER) as registry:
        yield registry


@pytest.mark.parametrize("pulled_before", [False, True])
def test_a_pull_for_another_processor_leaves_our_own_image_under_its_name(
    both: Registry, pulled_before: bool
) -> None:
    if pulled_before:
        engine().images.pull(both.name)
    archive = foreign_archive(both.name, OTHER, print)
    assert configuration_of([archive.read_bytes()]) == both.configurations[OTHER]
    if pulled_before:
        assert engine().images.get(both.name).id == both.configurations[own()]
    else:
        with pytest.raises(ImageNotFound):
            engine().images.get(both.name)
    with pytest.raises(ImageNotFound):
        engine().images.get(both.configurations[OTHER])


def test_a_registry_that_has_it_for_our_processor_only_is_told(cache: Path) -> None:
    with serving(own()) as registry, pytest.raises(ImageUnavailable, match=f"for {OTHER}"):
        foreign_archive(registry.name, OTHER, print)


def test_a_program_is_compiled_for_the_other_processor() -> None:
    program = build_programs(RESTIC, OTHER) / "restic"
    header = program.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == MACHINES[OTHER]
    assert (
        subprocess.run([build_programs(RESTIC) / "restic", "version"], check=False).returncode == 0
    )
