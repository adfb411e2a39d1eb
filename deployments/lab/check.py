"""What must be so before a lab can boot; each lack is one sentence."""

import shutil
import socket

from docker import DockerClient

from deployments.embedded import control_plane
from deployments.lab.engine import owner
from deployments.lab.plan import ROOT, LabPlan
from infra.errors import CouldNotRun, DockerUnavailable

#: The first engine API that gives a container a cgroup namespace of its own (Docker 20.10).
API_VERSION = (1, 41)
FREE_GIGABYTES = 4


def check_machine(engine: DockerClient, plan: LabPlan) -> str:
    """Engine, disk, names and port; what was found. Raises DockerUnavailable, CouldNotRun."""
    version = _check_engine(engine)
    _check_owner(engine, plan)
    free = _check_disk()
    _check_port(plan)
    return f"Docker {version}, {free:.0f} GB free"


def _check_engine(engine: DockerClient) -> str:
    found = engine.version()
    api = tuple(int(number) for number in found["ApiVersion"].split("."))
    if api < API_VERSION:
        raise DockerUnavailable(
            f"Docker {found['Version']} is too old for the lab.", "Install 20.10 or newer."
        )
    return str(found["Version"])


def _check_disk() -> float:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < FREE_GIGABYTES:
        raise CouldNotRun(
            f"Only {free:.1f} GB are free at {ROOT}; the lab needs {FREE_GIGABYTES}.",
            "Make room, e.g. by `make clean` or `docker image prune`.",
        )
    return free


def _check_owner(engine: DockerClient, plan: LabPlan) -> None:
    """Names and addresses of a lab are the machine's: only one checkout has it."""
    directory = owner(engine, plan.name("internet"))
    if directory not in {None, plan.directory}:
        raise CouldNotRun(
            f"The lab of another checkout is up; its files are in {directory}.",
            "Run `make lab-down`, here or there, then the same command again.",
        )


def _check_port(plan: LabPlan) -> None:
    """The UI's port is free, or it is our own control plane that has it."""
    if control_plane.status(plan.settings).server is not None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", plan.ui_port))
        except OSError as error:
            raise CouldNotRun(
                f"Port {plan.ui_port} on 127.0.0.1, for the UI, is taken by another program.",
                "Stop that program, then run the same command again.",
            ) from error
