"""The catalog is consistent: every name pinned, every recipe complete and locked by hash."""

import re

import pytest

from infra.images.catalog import CATALOG, LAB_IMAGES, RESTIC
from infra.images.spec import Dockerfile, GoModule, ScratchImage

SPECS = list(CATALOG.values())
SCRATCH = [spec.recipe for spec in SPECS if isinstance(spec.recipe, ScratchImage)]
MODULES = [recipe.module for recipe in SCRATCH]
DOCKERFILES = [spec.recipe for spec in SPECS if isinstance(spec.recipe, Dockerfile)]


@pytest.mark.parametrize("name", CATALOG)
def test_every_image_is_pinned(name: str) -> None:
    _, _, tag = name.rpartition(":")
    assert tag
    assert tag != "latest"


@pytest.mark.parametrize("module", [*MODULES, RESTIC], ids=lambda module: module.recipe)
def test_every_module_pins_all_it_needs_by_hash(module: GoModule) -> None:
    required = re.findall(
        r"^\s*(?:require )?(\S+) (v\S+)", (module.directory / "go.mod").read_text(), re.MULTILINE
    )
    locked = (module.directory / "go.sum").read_text()
    assert required
    assert [row for row in required if f"{row[0]} {row[1]}" not in locked] == []


@pytest.mark.parametrize("module", [*MODULES, RESTIC], ids=lambda module: module.recipe)
def test_every_module_imports_the_programs_it_builds(module: GoModule) -> None:
    imported = (module.directory / "tools.go").read_text()
    assert [package for package in module.packages if f'"{package}"' not in imported] == []


@pytest.mark.parametrize("module", [*MODULES, RESTIC], ids=lambda module: module.recipe)
def test_a_recipe_is_named_after_the_version_it_requires(module: GoModule) -> None:
    version = module.recipe.rpartition("-")[2]
    assert f" v{version}\n" in (module.directory / "go.mod").read_text()


@pytest.mark.parametrize("recipe", SCRATCH, ids=lambda recipe: recipe.module.recipe)
def test_an_image_holds_only_programs_that_its_module_builds(recipe: ScratchImage) -> None:
    built = {package.rpartition("/")[2] for package in recipe.module.packages}
    assert set(recipe.files.values()) <= built


@pytest.mark.parametrize("recipe", DOCKERFILES, ids=lambda recipe: recipe.recipe)
def test_a_dockerfile_names_just_the_images_that_it_needs(recipe: Dockerfile) -> None:
    lines = (recipe.directory / "Dockerfile").read_text()
    for name, value in recipe.arguments.items():
        lines = lines.replace(f"${name}", value)
    named = re.findall(r"^FROM (\S+)|--from=(\S+)", lines, re.MULTILINE)
    assert {first or second for first, second in named} == set(recipe.needs)
    assert set(recipe.needs) <= CATALOG.keys()


def test_a_lab_runs_images_of_the_catalog() -> None:
    assert set(LAB_IMAGES) < CATALOG.keys()
