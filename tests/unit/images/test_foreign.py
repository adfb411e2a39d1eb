"""Images for a host with another processor: cross-compiled where nothing of them has to run here."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import ImageUnavailable
from infra.images import build, ensure, foreign
from infra.images.catalog import CADDY, PYTHON
from infra.images.identity import configuration_of
from infra.images.platforms import Architecture, architecture_of, own
from infra.images.ready import ready_images
from infra.images.spec import GoModule

OTHER: Architecture = "arm64" if own() == "amd64" else "amd64"
BUILT: list[str] = []


@pytest.fixture
def cross(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, no registry, and a compiler that writes its target into the program."""

    def compiled(module: GoModule, architecture: Architecture) -> Path:
        BUILT.append(module.recipe)
        (tmp_path / "caddy").write_text(f"for {architecture}")
        return tmp_path

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(foreign, "registry_answers", lambda _: False)
    monkeypatch.setattr(build, "build_programs", compiled)
    yield tmp_path / "meshkeeper/images"
    BUILT.clear()


def test_an_image_for_another_processor_is_cross_compiled_and_says_so(cross: Path) -> None:
    image = ready_images([CADDY], OTHER)[CADDY]
    [archive] = cross.iterdir()
    with tarfile.open(archive) as opened:
        [manifest] = json.load(opened.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(opened.extractfile(manifest["Config"]))  # type: ignore[arg-type]
        layer = opened.extractfile(manifest["Layers"][0])
        assert layer is not None
        assert f"for {OTHER}".encode() in layer.read()
    assert config["architecture"] == OTHER
    assert manifest["RepoTags"] == [CADDY]
    assert image.image_id == configuration_of([archive.read_bytes()])
    assert image.size == archive.stat().st_size


def test_it_is_made_once(cross: Path) -> None:
    assert ready_images([CADDY], OTHER) == ready_images([CADDY], OTHER)
    assert len(BUILT) == 1


def test_an_image_whose_programs_must_run_while_it_is_built_can_only_be_pulled(cross: Path) -> None:
    with pytest.raises(ImageUnavailable) as refusal:
        ready_images([PYTHON], OTHER)
    assert f"{PYTHON} for {OTHER} can't be pulled" in refusal.value.message
    assert "registry" in refusal.value.hint


def test_a_processor_without_images_is_refused_by_name() -> None:
    with pytest.raises(ImageUnavailable, match=r"vps has a processor \(riscv64\)"):
        architecture_of("riscv64", "vps")


def test_an_image_of_another_processor_under_our_name_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Pulled:
        id = "sha256:1"
        labels: dict[str, str] = {}  # noqa: RUF012 - a fake
        attrs = {"Architecture": OTHER, "RepoDigests": ["caddy@sha256:2"]}  # noqa: RUF012

    monkeypatch.setattr(ensure, "find_image", lambda _: Pulled())
    assert ensure._ready("caddy:2", None) is None
    Pulled.attrs["Architecture"] = own()
    assert ensure._ready("caddy:2", None) == "sha256:1"
