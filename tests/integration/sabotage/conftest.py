"""A control machine whose production is lost: each module has a `production` of its own."""

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from tests.integration.sabotage.bench import ControlMachine, control_machine, empty_repository
from tests.integration.sabotage.production import Production


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield
    with warnings.catch_warnings():
        # Prefect leaves connections to its temporary server open.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_repository(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def machine(  # noqa: PLR0913 - fixtures
    prefect_server: None,
    production: Production,
    empty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ControlMachine:
    return control_machine(tmp_path, production, empty, monkeypatch)
