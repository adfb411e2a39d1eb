"""From a recipe to an image archive in the cache, and from there into the engine."""

import tarfile
from collections.abc import Mapping
from pathlib import Path

import certifi
from docker.errors import APIError, BuildError

from infra.errors import ImageUnavailable
from infra.images.archive import Content, add_bytes, add_directory, write_archive
from infra.images.cache import HASH_DIGITS, cached, drop_older, file_name, half_made
from infra.images.debian import build_root
from infra.images.engine import engine
from infra.images.golang import build_programs
from infra.images.platforms import Architecture, own
from infra.images.run import cannot_build
from infra.images.spec import Dockerfile, ImageSpec, ScratchImage

LABEL = "io.meshkeeper.inputs"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
GROUP = b"root:x:0:\nnobody:x:65534:\n"


def build_image(spec: ImageSpec, digest: str) -> None:
    """Load the image with these inputs into the engine; build its archive first if it is new."""
    name = file_name(spec.name)
    archive = cached("images", f"{name}-{digest[:HASH_DIGITS]}.tar")
    if archive.exists():
        load(archive)
        return
    with half_made(archive) as half:
        write_image(spec, {LABEL: digest}, half, own())
        load(half)
    drop_older(archive, name)


def write_image(
    spec: ImageSpec, labels: Mapping[str, str], path: Path, architecture: Architecture
) -> None:
    """Build the recipe and write the image's archive to `path`.

    Only static programs are made for another processor than ours: the rest runs what it builds.
    """
    recipe = spec.recipe
    if isinstance(recipe, Dockerfile):
        _build_dockerfile(spec.name, recipe, labels)
        save(spec.name, path)
        return
    layer = path.with_suffix(".layer")
    if isinstance(recipe, ScratchImage):
        _write_scratch_layer(recipe, build_programs(recipe.module, architecture), layer)
    else:
        build_root(recipe, layer)
    config = {**recipe.config, "Labels": dict(labels)}
    write_archive(Content(spec.name, architecture, config, layer), path)


def load(archive: Path) -> None:
    """Give an archive to the engine."""
    with archive.open("rb") as stream:
        engine().images.load(stream)


def _write_scratch_layer(recipe: ScratchImage, programs: Path, layer: Path) -> None:
    with tarfile.open(layer, "w") as root:
        for directory in _directories(recipe):
            add_directory(root, directory, 0o1777 if directory == "tmp" else 0o755)
        add_bytes(root, "etc/passwd", PASSWD)
        add_bytes(root, "etc/group", GROUP)
        add_bytes(root, CERTIFICATES, Path(certifi.where()).read_bytes())
        for path, program in sorted(recipe.files.items()):
            add_bytes(root, path, (programs / program).read_bytes(), 0o755)


def _directories(recipe: ScratchImage) -> list[str]:
    """Every directory of the image with its parents, sorted: parents come first."""
    leaves = [Path(name) for name in ("tmp", "run", "var/run", "root", *recipe.directories)]
    parents = [Path(name).parent for name in (*recipe.files, CERTIFICATES)]
    every = {str(part) for leaf in (*leaves, *parents) for part in (leaf, *leaf.parents)}
    return sorted(every - {"."})


def _build_dockerfile(name: str, recipe: Dockerfile, labels: Mapping[str, str]) -> None:
    log = cached("logs", f"{file_name(name)}.log")
    try:
        engine().images.build(
            path=str(recipe.directory),
            tag=name,
            labels=dict(labels),
            buildargs=dict(recipe.arguments),
            rm=True,
            forcerm=True,
        )
    except BuildError as error:
        log.write_text("\n".join(map(str, error.build_log)))
        raise cannot_build(name, str(error).rstrip("."), log) from error
    except APIError as error:
        raise ImageUnavailable(f"{name} can't be built: {error.explanation}.") from error


def save(name: str, path: Path) -> None:
    """Write what the engine has under that name as an archive."""
    with path.open("wb") as archive:
        for chunk in engine().images.get(name).save(named=name):
            archive.write(chunk)
