"""A parcel into a real engine: it takes what is lacking, and nothing of what is broken."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from docker.errors import APIError, ImageLoadError, ImageNotFound

from infra.images.archive import add_bytes
from infra.images.engine import engine
from infra.images.parcel import parcel
from infra.images.platforms import own

BASE, CHILD = "mk-adm-base:1", "mk-adm-child:1"


@pytest.fixture
def images(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """Two images, one upon the other; the layers of the lower one."""
    with tarfile.open(tmp_path / "base.tar", "w") as layer:
        add_bytes(layer, "base", os.urandom(1_000_000))
    engine().api.import_image_from_file(str(tmp_path / "base.tar"), *BASE.split(":"))
    (tmp_path / "top").write_bytes(os.urandom(10_000))
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nCOPY top /top\n")
    engine().images.build(path=str(tmp_path), tag=CHILD, rm=True)
    yield tuple(engine().images.get(BASE).attrs["RootFS"]["Layers"])
    for name in (CHILD, BASE):
        with suppress(ImageNotFound):
            engine().images.remove(name, force=True)


def test_a_changed_top_layer_travels_alone(images: tuple[str, ...]) -> None:
    with parcel(CHILD, own(), [images]) as sent:
        assert (sent.layers, sent.sent) == (2, 1)
        assert sent.size < 20_000
        engine().images.remove(CHILD, force=True)
        engine().images.load(sent.path.read_bytes())
    assert engine().images.get(CHILD).id == sent.image_id


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_of_a_parcel_that_is_cut_off_nothing_is_loaded(
    images: tuple[str, ...], part: float
) -> None:
    with parcel(CHILD, own(), [images]) as sent:
        engine().images.remove(CHILD, force=True)
        whole = sent.path.read_bytes()
        with pytest.raises((ImageLoadError, APIError)):
            engine().images.load(whole[: int(len(whole) * part)])
    with pytest.raises(ImageNotFound):
        engine().images.get(CHILD)


def test_an_engine_that_lost_the_layer_in_between_says_no(images: tuple[str, ...]) -> None:
    with parcel(CHILD, own(), [images]) as sent:
        for name in (CHILD, BASE):
            engine().images.remove(name, force=True)
        with pytest.raises((ImageLoadError, APIError)):
            engine().images.load(sent.path.read_bytes())
    with pytest.raises(ImageNotFound):
        engine().images.get(CHILD)
