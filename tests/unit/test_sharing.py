"""Which tests share a worker."""

import re
from pathlib import Path

from tests.sharing import LONGEST, MESH, WITH_A_MESH, group

INTEGRATION = Path(__file__).parents[1] / "integration"


def test_the_modules_that_share_the_mesh_are_those_that_ask_for_it() -> None:
    """Another would boot a second one on the other worker."""
    asks = re.compile(r"^def \w+\([^)]*\b(?:mesh|backed_up)\b", re.MULTILINE)
    found = {path.stem for path in INTEGRATION.rglob("test_*.py") if asks.search(path.read_text())}
    assert found == set(WITH_A_MESH)


def test_what_begins_first_is_there() -> None:
    """A module that was renamed would begin last without a word."""
    found = {
        group(f"tests/integration/{path.relative_to(INTEGRATION)}::test")
        for path in INTEGRATION.rglob("test_*.py")
    }
    assert set(LONGEST) <= found
    assert LONGEST[0] == MESH
