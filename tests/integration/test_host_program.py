"""What a host keeps of its images' names, on a real engine."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from tests.unit.releasing import host_program

REPOSITORY = "mk-test-rollback"
NAME = f"{REPOSITORY}:1"


def imported(engine: DockerClient, content: bytes) -> str:
    """The id of an image of that name with one file in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        file = tarfile.TarInfo("content")
        file.size = len(content)
        archive.addfile(file, io.BytesIO(content))
    engine.api.import_image_from_data(buffer.getvalue(), repository=REPOSITORY, tag="1")
    return str(engine.images.get(NAME).id)


@pytest.fixture
def request_of(
    engine: DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    monkeypatch.setattr(host_program, "HOME", tmp_path / "releases")
    (tmp_path / "releases/caddy").mkdir(parents=True)
    monkeypatch.setattr(host_program.os, "chown", lambda *_: None)
    stack = tmp_path / "stack"
    yield {
        "stack": "caddy",
        "directory": str(stack),
        "admin": "root",
        "folders": {str(stack): 0o755},
        "paths": ["docker-compose.yml"],
        "containers": {"mk-test-no-container": NAME},
        "server": None,
        "release": None,
        "files": {"docker-compose.yml": "x"},
        "snapshot": False,
    }
    for image in engine.images.list(REPOSITORY):
        engine.images.remove(image.id, force=True)


def test_an_image_of_the_same_name_is_put_back_and_the_other_goes(
    engine: DockerClient, request_of: dict[str, Any]
) -> None:
    before = imported(engine, b"before")
    host_program.prepare(request_of)
    host_program.commit(request_of)
    after = imported(engine, b"after")
    host_program.prepare(request_of)
    host_program.restore(request_of)
    assert engine.images.get(NAME).id == before
    host_program.drop(request_of)
    with pytest.raises(ImageNotFound):
        engine.images.get(after)


def test_a_release_is_gone_back_to_by_the_id_of_its_image(
    engine: DockerClient, request_of: dict[str, Any]
) -> None:
    before = imported(engine, b"before")
    host_program.prepare(request_of)
    host_program.commit(request_of)
    imported(engine, b"after")
    host_program.prepare(request_of)
    host_program.commit(request_of)
    first = host_program.all_releases(request_of)[0].name
    host_program.prepare(request_of | {"release": first, "files": {}})
    assert engine.images.get(NAME).id == before
