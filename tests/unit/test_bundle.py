"""Programs that are joined from modules, for a host that has none of them."""

import ast
from collections import Counter

import pytest

from infra.access.bundle import joined
from infra.host import observe
from infra.rollout import files

PROGRAMS = {
    "facts": ("infra.host.facts", observe.MODULES),
    "changes": (files.PACKAGE, files.CHANGES),
    "looks": (files.PACKAGE, files.LOOKS),
}


@pytest.fixture(params=PROGRAMS.values(), ids=PROGRAMS)
def text(request: pytest.FixtureRequest) -> str:
    return joined(*request.param)


def test_a_program_imports_nothing_of_ours(text: str) -> None:
    assert "from infra" not in text
    assert "import infra" not in text


def test_no_module_takes_a_name_of_another(text: str) -> None:
    """The later one would win, silently and for both."""
    functions = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert [name for name, times in Counter(functions).items() if times > 1] == []
