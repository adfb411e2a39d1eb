"""Take a lab down: no container, network, volume, process or file of it is left."""

import shutil
import subprocess
import sys

from docker import DockerClient

from deployments.lab.engine import remove_all
from deployments.lab.plan import LabPlan

STOP_SECONDS = 60


def take_down(engine: DockerClient, plan: LabPlan) -> list[str]:
    """Remove every trace; the names of the Docker objects that went."""
    stop_control_plane(plan)
    removed = remove_all(engine, plan.prefix)
    shutil.rmtree(plan.directory, ignore_errors=True)
    return removed


def stop_control_plane(plan: LabPlan) -> None:
    """Server and worker of this lab, by their pid files; nothing when there are none."""
    if not plan.site_file.exists():
        return
    subprocess.run(
        [sys.executable, "-m", "deployments.cli.main", "--site", str(plan.site_file), "down"],
        check=False,
        capture_output=True,
        timeout=STOP_SECONDS,
    )
