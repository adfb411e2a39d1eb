"""`up` as a list of steps, each of which does nothing when what it makes is there."""

import time
from collections.abc import Callable
from typing import NamedTuple

from docker import DockerClient

from deployments.lab.acme import IMAGE as ACME_IMAGE
from deployments.lab.boot import Lab, boot
from deployments.lab.check import check_machine
from deployments.lab.command import Json, ask_meshkeeper, meshkeeper
from deployments.lab.homes import IMAGE as NODE_IMAGE
from deployments.lab.join import join_clients, ping_over_mesh
from deployments.lab.plan import LabPlan
from deployments.lab.relay import MAP_IMAGE, RELAY_IMAGE
from deployments.lab.vps import IMAGE as VPS_IMAGE

IMAGES = (VPS_IMAGE, NODE_IMAGE, ACME_IMAGE, RELAY_IMAGE, MAP_IMAGE)


class Step(NamedTuple):
    """`run` tells in a line what is so now."""

    name: str
    run: Callable[[], str]


class MainJob:
    """The main job's steps on one lab; keeps the drill's report for the summary."""

    def __init__(self, engine: DockerClient, plan: LabPlan) -> None:
        self.engine, self.plan = engine, plan
        self.lab = Lab(plan, engine)
        self.drill: Json = {}
        self.drill_exit_code = 0

    def topology(self) -> list[Step]:
        """What makes a lab, without meshkeeper."""
        return [
            Step("check this machine", lambda: check_machine(self.engine, self.plan)),
            Step("get or build the images", self._images),
            Step("boot the lab", self._boot),
        ]

    def mesh(self) -> list[Step]:
        """What makes a mesh of a lab."""
        return [
            Step("start the control plane", self._control_plane),
            Step("provision the VPS", lambda: self._changes("changes", "provision")),
            Step(
                "roll out headscale and caddy", lambda: self._changes("applied", "rollout", "--yes")
            ),
            Step("let two clients join", lambda: join_clients(self.lab)),
            Step("ping over the mesh", lambda: ping_over_mesh(self.lab)),
        ]

    def steps(self) -> list[Step]:
        """Everything, from nothing to a verdict."""
        return [
            *self.topology(),
            *self.mesh(),
            Step("back up", self._backup),
            Step("drill", self._drill),
        ]

    def _images(self) -> str:
        from infra.images.ensure import ensure_images

        ensure_images(list(IMAGES))
        return f"{len(IMAGES)} images"

    def _boot(self) -> str:
        boot(self.engine, self.plan)
        return f"the VPS is {self.plan.place('vps')}, its site file {self.plan.site_file}"

    def _control_plane(self) -> str:
        meshkeeper(self.plan, "up")
        return f"http://127.0.0.1:{self.plan.ui_port}"

    def _changes(self, key: str, *command: str) -> str:
        """Run a flow whose report lists what it changed under `key`."""
        changed = meshkeeper(self.plan, *command)["report"][key]
        return f"{len(changed)} changes" if changed else "nothing to change"

    def _backup(self) -> str:
        report = meshkeeper(self.plan, "backup")["report"]
        return f"snapshot {report['newest_verified']} is verified and stored"

    def _drill(self) -> str:
        """A verdict other than *verified* is a result to show, not an end before the summary."""
        self.drill, self.drill_exit_code = ask_meshkeeper(self.plan, "drill")
        return str(self.drill.get("message"))


def run_steps(steps: list[Step]) -> None:
    """Run them in order: a line when each begins, its duration and result when it is done."""
    for number, step in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {step.name} …", flush=True)
        began = time.monotonic()
        told = step.run()
        print(f"      {time.monotonic() - began:6.1f} s  {told}", flush=True)
