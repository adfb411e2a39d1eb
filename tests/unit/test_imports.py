"""Imports run one way: deployments → flows → tasks → infra; inside infra they end at the model."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("infra", "tasks", "flows", "deployments")
IO_LIBRARIES = {"fabric", "paramiko", "docker", "httpx", "sh", "prefect"}


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """(file, imported module) for every import below a folder, also inside functions."""
    for path in (ROOT / folder).rglob("*.py"):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield name, node.module
                yield from ((name, f"{node.module}.{alias.name}") for alias in node.names)


def offenders(folder: str, forbidden: set[str]) -> set[tuple[str, str]]:
    """Imports below a folder of a forbidden package, given as dotted names."""
    return {
        (name, module)
        for name, module in imports(folder)
        if any(module == package or module.startswith(f"{package}.") for package in forbidden)
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_no_layer_above_it(layer: str) -> None:
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    assert offenders(layer, above) == set()


def test_infra_never_imports_prefect() -> None:
    assert offenders("infra", {"prefect"}) == set()


@pytest.mark.parametrize("part", ["model", "planning"])
def test_values_and_planning_import_no_library_that_reaches_out(part: str) -> None:
    assert offenders(f"infra/{part}", IO_LIBRARIES) == set()


def test_the_model_imports_nothing_of_infra_but_itself() -> None:
    found = {module for _, module in imports("infra/model") if module.startswith("infra.")}
    assert {module for module in found if not module.startswith("infra.model")} == set()


def test_planning_imports_only_the_model_and_itself() -> None:
    found = {module for _, module in imports("infra/planning") if module.startswith("infra.")}
    allowed = ("infra.model", "infra.planning", "infra.errors")
    assert {module for module in found if not module.startswith(allowed)} == set()


@pytest.mark.parametrize("layer", ["flows", "tasks"])
def test_no_file_of_flows_or_tasks_is_named_after_a_dependency(layer: str) -> None:
    stems = {path.stem for path in (ROOT / layer).glob("*.py")}
    assert stems & (IO_LIBRARIES | {"pydantic", "yaml", "rich", "jinja2"}) == set()
