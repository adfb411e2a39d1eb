"""Archives are made deterministically, and the engine's own names in them are right."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from infra.images.archive import Content, add_bytes, add_directory, write_archive
from infra.images.build import _directories
from infra.images.catalog import CATALOG
from infra.images.spec import ScratchImage


@pytest.fixture
def content(tmp_path: Path) -> Content:
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as root:
        add_directory(root, "bin")
        add_bytes(root, "bin/program", b"\x7fELF", 0o755)
    return Content("example/program:1", "amd64", {"Cmd": ["program"]}, layer)


def read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as opened:
        member = opened.extractfile(name)
        assert member is not None
        return member.read()


def test_the_same_content_gives_the_same_bytes(content: Content, tmp_path: Path) -> None:
    write_archive(content, tmp_path / "one")
    write_archive(content, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_archive_says_its_name_and_hashes_its_layer(content: Content, tmp_path: Path) -> None:
    write_archive(content, tmp_path / "image")
    [manifest] = json.loads(read(tmp_path / "image", "manifest.json"))
    config = json.loads(read(tmp_path / "image", manifest["Config"]))
    layer = hashlib.sha256(read(tmp_path / "image", manifest["Layers"][0])).hexdigest()
    assert manifest["RepoTags"] == ["example/program:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{layer}"]
    assert config["config"] == {"Cmd": ["program"]}


@pytest.mark.parametrize(
    "name", [n for n, s in CATALOG.items() if isinstance(s.recipe, ScratchImage)]
)
def test_parents_come_before_their_children(name: str) -> None:
    recipe = CATALOG[name].recipe
    assert isinstance(recipe, ScratchImage)
    seen: set[str] = set()
    for directory in _directories(recipe):
        parent = str(Path(directory).parent)
        assert parent == "." or parent in seen
        seen.add(directory)
    assert {"tmp", "etc", "var/run"} <= seen
