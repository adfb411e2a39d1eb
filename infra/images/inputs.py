"""The hash of all that an image or a program is built from: what is built is cached by it."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import certifi

from infra.images.spec import Dockerfile, GoModule, ImageSpec, ScratchImage

TOOLCHAIN_LOCK = Path(__file__).parents[2] / "requirements-build.lock"
#: Raise it when the code in this package builds something else from the same recipes.
FORMAT = "2"


def module_hash(module: GoModule) -> str:
    """SHA-256 (hex) over the module's files, its packages and the Go toolchain's lock."""
    return _digest(FORMAT, repr(module), *_contents(module.directory), _content(TOOLCHAIN_LOCK))


def image_hash(spec: ImageSpec, catalog: Mapping[str, ImageSpec]) -> str:
    """SHA-256 (hex) over the recipe and, recursively, over those of the images it needs."""
    recipe = spec.recipe
    if isinstance(recipe, ScratchImage):
        inputs = [module_hash(recipe.module), _content(Path(certifi.where()))]
    elif isinstance(recipe, Dockerfile):
        needed = [image_hash(catalog[name], catalog) for name in recipe.needs]
        inputs = [*_contents(recipe.directory), *needed]
    else:
        inputs = list(_contents(recipe.directory))
    return _digest(FORMAT, repr(spec), *inputs)


def _contents(directory: Path) -> Iterable[str]:
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        yield f"{path.relative_to(directory)} {_content(path)}"


@cache
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
