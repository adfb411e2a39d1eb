"""An embedded control plane of the tests' own, for a site whose host does not answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.cli.schema import EXAMPLE
from deployments.lab.link import free_port
from tests.sharing import ByModule, longest_first


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


@dataclass(frozen=True)
class ControlPlane:
    """A site file, and `meshkeeper` as a person at a shell calls it."""

    site: Path
    state: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "deployments.cli.main", *arguments, "--site", str(self.site)],
            env={
                k: v for k, v in os.environ.items() if not k.startswith(("MESHKEEPER_", "PREFECT_"))
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *arguments: str) -> tuple[int, Any]:
        """A command's exit code and its JSON answer."""
        process = self.start(*arguments, "--json")
        said, complaint = process.communicate(timeout=300)
        return process.returncode, json.loads(said) if said else complaint

    def pids(self) -> dict[str, int]:
        _, status = self.call("status")
        return {role: status[role] for role in ("server", "worker")}


@pytest.fixture(scope="module")
def site_of_a_dead_host(tmp_path_factory: pytest.TempPathFactory) -> ControlPlane:
    """A site file whose host is a closed port of this machine; nothing is started."""
    folder = tmp_path_factory.mktemp("site")
    values = yaml.safe_load(EXAMPLE.read_text())
    fingerprint = "SHA256:" + "A" * 43
    values["hosts"]["vps"] |= {"address": "127.0.0.1", "port": free_port(), "host_key": fingerprint}
    (folder / "site.yaml").write_text(yaml.safe_dump(values))
    port = free_port()
    settings = f"MESHKEEPER_STATE_DIR={folder / 'state'}\nMESHKEEPER_UI_PORT={port}\n"
    (folder / "meshkeeper.env").write_text(settings)
    return ControlPlane(folder / "site.yaml", folder / "state", port)


@pytest.fixture(scope="module")
def control_plane(site_of_a_dead_host: ControlPlane) -> Iterator[ControlPlane]:
    """The same site with its control plane running; a module's own, since tests stop it."""
    plane = site_of_a_dead_host
    code, answer = plane.call("up")
    assert code == 0, answer
    yield plane
    plane.call("down")
