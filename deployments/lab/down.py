"""Take a lab down: no container, network, volume, process or file of it is left."""

import shutil

from docker import DockerClient

from deployments.embedded import control_plane
from deployments.lab.engine import owner, remove_all
from deployments.lab.plan import LabPlan


def take_down(engine: DockerClient, plan: LabPlan) -> list[str]:
    """Remove every trace, a killed lab's too; the names of what Docker held of it.

    Names and addresses are the machine's: the lab that is up may be another checkout's.
    """
    directories = {plan.directory, owner(engine, plan.name("internet")) or plan.directory}
    for directory in directories:
        control_plane.down(plan.model_copy(update={"directory": directory}).settings)
    removed = remove_all(engine, plan.prefix)
    for directory in directories:
        shutil.rmtree(directory)
    return removed
