"""Labs of the tests' own: booted from nothing, and taken away again."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker import DockerClient

from deployments.embedded.processes import carrying
from deployments.lab.boot import Lab, boot
from deployments.lab.down import take_down
from deployments.lab.plan import LabPlan
from deployments.lab.steps import IMAGES
from infra.images.ensure import ensure_images
from infra.settings import CONTROL_PLANE_MARK


@contextmanager
def booted(engine: DockerClient, plan: LabPlan) -> Iterator[Lab]:
    """What a killed run left behind goes first. Another run waits for this one's end."""
    # Names and networks are the machine's, so the lock is too: another checkout waits as well.
    with Path(tempfile.gettempdir(), f"{plan.prefix}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        take_down(engine, plan)
        ensure_images(list(IMAGES))
        yield boot(engine, plan)
        take_down(engine, plan)
        assert carrying(CONTROL_PLANE_MARK, str(plan.state)) == []
