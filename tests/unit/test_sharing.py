"""Which tests share a worker."""

import re
from pathlib import Path

from tests.sharing import WITH_A_MESH

INTEGRATION = Path(__file__).parents[1] / "integration"


def test_the_modules_that_share_the_mesh_are_those_that_ask_for_it() -> None:
    """Another would boot a second one on the other worker."""
    asks = re.compile(r"^def \w+\([^)]*\b(?:mesh|backed_up)\b", re.MULTILINE)
    found = {path.stem for path in INTEGRATION.glob("test_*.py") if asks.search(path.read_text())}
    assert found == set(WITH_A_MESH)
