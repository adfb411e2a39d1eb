"""Take a lab down: no container, network, volume, process or file of it is left."""

import shutil

from docker import DockerClient

from deployments.embedded import control_plane
from deployments.lab.engine import remove_all
from deployments.lab.plan import LabPlan


def take_down(engine: DockerClient, plan: LabPlan) -> list[str]:
    """Remove every trace, a killed lab's too; the names of what Docker held of it."""
    control_plane.down(plan.settings)
    removed = remove_all(engine, plan.prefix)
    shutil.rmtree(plan.directory)
    return removed
