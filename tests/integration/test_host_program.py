"""What a host keeps of its images' names, on a real engine."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from infra.rollout import host_program

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
    monkeypatch.setattr(host_program, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(host_program.os, "chown", lambda *_: None)
    stack = tmp_path / "stack"
    yield {
        "stack": "caddy",
        "directory": str(stack),
        "admin": "root",
        "folders": {str(stack): 0o755},
        "paths": ["docker-compose.yml"],
        "images": [NAME],
        "files": {"docker-compose.yml": "x"},
    }
    for image in engine.images.list(REPOSITORY):
        engine.images.remove(image.id, force=True)


def test_an_image_of_the_same_name_is_put_back(
    engine: DockerClient, request_of: dict[str, Any]
) -> None:
    before = imported(engine, b"before")
    host_program.keep(request_of)
    host_program.write(request_of)
    assert imported(engine, b"after") != before
    host_program.restore(request_of)
    assert engine.images.get(NAME).id == before
