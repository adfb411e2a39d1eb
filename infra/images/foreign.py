"""Images for a host with another processor than ours: archives in the cache.

In the engine a name belongs to our own processor's image: what runs here is never the wrong one.
"""

from pathlib import Path

from docker.errors import APIError
from docker.models.images import Image

from infra.errors import ImageUnavailable
from infra.images.build import LABEL, save, write_image
from infra.images.cache import HASH_DIGITS, cached, drop_older, exclusive, file_name, half_made
from infra.images.catalog import CATALOG
from infra.images.engine import engine, find_image, registry_answers
from infra.images.ensure import PROBE, Report
from infra.images.inputs import image_hash
from infra.images.platforms import Architecture
from infra.images.spec import ImageSpec, ScratchImage


def foreign_archive(name: str, architecture: Architecture, report: Report) -> Path:
    """The image's archive, pulled or cross-compiled once. Raises ImageUnavailable."""
    spec = CATALOG.get(name)
    with exclusive(f"{name}-{architecture}"):
        pulled = cached("images", f"{file_name(name)}-{architecture}-pulled.tar")
        if pulled.exists():
            return pulled
        if (spec is None or spec.official) and registry_answers(PROBE):
            report(f"{name} for {architecture}: pulling")
            if _pulled(name, architecture, pulled):
                return pulled
        return _built(name, spec, architecture, report)


def _built(name: str, spec: ImageSpec | None, architecture: Architecture, report: Report) -> Path:
    if spec is None or not isinstance(spec.recipe, ScratchImage):
        raise ImageUnavailable(
            f"{name} for {architecture} can't be pulled, and this machine can't build it: its "
            "programs would have to run here.",
            "Make a container registry reachable, or run meshkeeper on a machine of the host's kind.",
        )
    digest = image_hash(spec, CATALOG)
    stem = f"{file_name(name)}-{architecture}"
    archive = cached("images", f"{stem}-{digest[:HASH_DIGITS]}.tar")
    if not archive.exists():
        report(f"{name} for {architecture}: building")
        with half_made(archive) as half:
            write_image(spec, {LABEL: digest}, half, architecture)
        drop_older(archive, stem)
    return archive


def _pulled(name: str, architecture: Architecture, archive: Path) -> bool:
    """Pull and save it. The engine lends its name for that long, and then has what it had."""
    with exclusive(name):
        before = find_image(name)
        try:
            image = engine().images.pull(name, platform=f"linux/{architecture}")
        except APIError:
            return False
        try:
            _require(image, name, architecture)
            with half_made(archive) as half:
                save(name, half)
        finally:
            _give_back(name, before, image)
    return True


def _require(image: Image, name: str, architecture: Architecture) -> None:
    """A registry that has it for one processor only gives that."""
    if image.attrs["Architecture"] != architecture:
        raise ImageUnavailable(f"The registry has no {name} for {architecture}.")


def _give_back(name: str, before: Image | None, pulled: Image) -> None:
    if before is None:
        engine().images.remove(name)
    elif before.id != pulled.id:
        repository, _, tag = name.rpartition(":")
        before.tag(repository, tag)
        engine().images.remove(str(pulled.id), force=True)
