"""One temporary Prefect server for all tests of flows, and a site that needs no host."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from deployments.cli.schema import EXAMPLE


@pytest.fixture(scope="session", autouse=True)
def _prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(autouse=True)
def site_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The domain of the site file that this test's flows find."""
    path = tmp_path / "site.yaml"
    path.write_text(EXAMPLE.read_text())
    monkeypatch.setenv("MESHKEEPER_SITE", str(path))
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "state"))
    return "cronova.dev"
