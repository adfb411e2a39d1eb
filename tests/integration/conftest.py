"""A lab of the tests' own, booted from nothing and taken away again."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker import DockerClient

from deployments.lab.boot import Lab
from deployments.lab.command import meshkeeper
from deployments.lab.machine import Machine
from deployments.lab.plan import TESTS, TWIN, LabPlan
from deployments.lab.steps import MainJob, run_steps
from deployments.lab.vps import Order, boot_vps, remove_vps, vps_machine
from infra.access.docker import engine as docker_engine
from tests.browser.chromium import page
from tests.integration.labs import booted

__all__ = ["page"]

#: What of /proc/sys counts by itself, and is nobody's setting.
COUNTERS = ("kernel/random/", "kernel/ns_last_pid", "kernel/pty/nr", "kernel/cad_pid")

MachineSettings = dict[str, str]


@dataclass(frozen=True)
class BareHost:
    """A VPS just delivered: `host_key` is its fingerprint as the provider shows it."""

    machine: Machine
    address: str
    host_key: str
    ssh_key: Path


BareHostFactory = Callable[[str], BareHost]


def read_machine_settings() -> MachineSettings:
    """Swap, clock and the kernel's settings that a container could change for the whole machine.

    The clock by how far it is from the one that nobody can set, in steps of ten seconds.
    """
    root = Path("/proc/sys")
    found = {"swaps": Path("/proc/swaps").read_text(), "clock": str(_clock_offset())}
    for path in sorted([*root.glob("vm/*"), *root.glob("kernel/**/*")]):
        name = str(path.relative_to(root))
        if path.is_file() and not name.startswith(COUNTERS):
            found[name] = _value(path)
    return found


def _clock_offset() -> int:
    return round((time.time() - time.monotonic()) / 10)


def _value(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:  # some may only be written
        return type(error).__name__


@pytest.fixture(scope="session")
def plan() -> LabPlan:
    """A lab for each of the two workers; the first one's without them."""
    return TWIN if os.environ.get("PYTEST_XDIST_WORKER") == "gw1" else TESTS


@pytest.fixture(scope="session")
def engine() -> DockerClient:
    return docker_engine()


@pytest.fixture(scope="session")
def read_settings() -> Callable[[], MachineSettings]:
    return read_machine_settings


@pytest.fixture(scope="session")
def settings_before() -> MachineSettings:
    """The machine's global settings, read before the lab boots."""
    return read_machine_settings()


@pytest.fixture(scope="session")
def lab(engine: DockerClient, plan: LabPlan, settings_before: MachineSettings) -> Iterator[Lab]:
    """The tests' lab."""
    with booted(engine, plan) as lab:
        yield lab
    assert read_machine_settings() == settings_before


@pytest.fixture(scope="session")
def mesh(lab: Lab) -> Lab:
    """The lab with its control plane up, its host provisioned, its stacks rolled out, both clients in.

    All of it by the command line, as `make lab` does it; `take_down` stops the control plane.
    """
    run_steps(MainJob(lab.engine, lab.plan).mesh())
    return lab


@pytest.fixture(scope="session")
def backed_up(mesh: Lab) -> Lab:
    """The mesh with at least one snapshot in its repository."""
    meshkeeper(mesh.plan, "backup")
    return mesh


@pytest.fixture
def bare_host(lab: Lab, tmp_path: Path) -> Iterator[BareHostFactory]:
    """Order one more VPS on the lab's internet by a short name; it goes with the test."""
    ordered: list[str] = []

    def order(name: str) -> BareHost:
        order = Order(
            name=lab.plan.name(name),
            network=lab.plan.name("internet"),
            key=tmp_path / name / "id_ed25519",
            resolver=lab.plan.place("dns"),
        )
        ordered.append(order.name)
        delivered = boot_vps(lab.engine, order)
        return BareHost(
            machine=vps_machine(lab.engine, order.name),
            address=delivered.address,
            host_key=delivered.fingerprint,
            ssh_key=order.key,
        )

    yield order
    for name in ordered:
        remove_vps(lab.engine, name)
