"""What an image is built from when no registry answers: three kinds of recipe, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class GoModule:
    """A module of our own that pins one program: go.mod, go.sum and a tools.go under recipes/.

    `stamps`: variables set at link time, for programs that don't read their version from the build.
    """

    recipe: str
    packages: tuple[str, ...]
    stamps: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        return RECIPES / self.recipe


@dataclass(frozen=True)
class ScratchImage:
    """Static programs on an empty root, with certificates; laid out as the official image."""

    module: GoModule
    files: Mapping[str, str]
    """Path in the image -> name of the program."""
    config: Mapping[str, object]
    """The `config` object of the OCI image format."""
    directories: tuple[str, ...] = ()


@dataclass(frozen=True)
class DebianRoot:
    """A minimal Debian of a suite (`trixie`), made by debootstrap."""

    suite: str
    config: Mapping[str, object] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return RECIPES / "debian"


@dataclass(frozen=True)
class Dockerfile:
    """A directory with a Dockerfile; `needs` are the images that it names.

    `arguments`: values of its ARGs.
    """

    recipe: str
    needs: tuple[str, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return RECIPES / self.recipe


Recipe = ScratchImage | DebianRoot | Dockerfile


@dataclass(frozen=True)
class ImageSpec:
    """An image under the name that compose files use, and how to build its equivalent.

    `official` images are pulled under this name where a registry answers.
    """

    name: str
    recipe: Recipe
    official: bool = True
