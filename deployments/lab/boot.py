"""Boot a lab: what is missing is made, what stopped is started, what runs is left alone."""

import time
from dataclasses import dataclass
from functools import cached_property

from docker import DockerClient

from deployments.lab.acme import acme_part, issuing_root
from deployments.lab.authority import Authority
from deployments.lab.down import take_down
from deployments.lab.engine import ensure_network, ensure_part, find, put_files
from deployments.lab.homes import READY, RESIDENT, resident_part, router_part, trusted
from deployments.lab.machine import Machine
from deployments.lab.names import dns_part
from deployments.lab.plan import HOMES, NETWORKS, LabPlan
from deployments.lab.relay import map_part, relay_part
from deployments.lab.site import write_site
from deployments.lab.vps import Order, boot_vps, vps_machine
from infra.errors import CouldNotRun
from infra.model.site import Site
from infra.settings import Settings
from infra.site_file import load_site

READY_SECONDS = 30


@dataclass(frozen=True)
class Lab:
    """A lab that runs: its site, and its machines."""

    plan: LabPlan
    engine: DockerClient

    @property
    def settings(self) -> Settings:
        return self.plan.settings

    @cached_property
    def site(self) -> Site:
        return load_site(self.plan.site_file)

    @cached_property
    def vps(self) -> Machine:
        return vps_machine(self.engine, self.plan.name("vps"))

    @cached_property
    def client_a(self) -> Machine:
        return self._resident("client-a")

    @cached_property
    def client_b(self) -> Machine:
        return self._resident("client-b")

    @cached_property
    def observer(self) -> Machine:
        """Sees what the whole internet sees, through the lab's DNS and certificates."""
        return self._resident("observer")

    def _resident(self, name: str) -> Machine:
        container = find(self.engine, self.plan.name(name))
        if container is None:
            raise CouldNotRun(f"{self.plan.name(name)} is not there.", "Run `make lab`.")
        return Machine(container, self.plan.address(HOMES[name], RESIDENT))


def boot(engine: DockerClient, plan: LabPlan) -> Lab:
    """Make the lab run. A lab without its VPS is made anew: all its state was about that one."""
    if find(engine, plan.name("vps")) is None:
        take_down(engine, plan)
    plan.directory.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        ensure_network(engine, plan.name(name), plan.address(name, 0) + "/24", plan.directory)
    _boot_services(engine, plan)
    delivered = boot_vps(engine, _order(plan))
    _boot_homes(engine, plan)
    write_site(plan, delivered)
    return Lab(plan, engine)


def _order(plan: LabPlan) -> Order:
    return Order(
        name=plan.name("vps"),
        network=plan.name("internet"),
        key=plan.ssh_key,
        address=plan.place("vps"),
        resolver=plan.place("dns"),
    )


def _boot_services(engine: DockerClient, plan: LabPlan) -> None:
    """DNS, ACME and the public relay; then all roots that they need are in one bundle."""
    authority = Authority(plan.directory / "ca")
    ensure_part(engine, dns_part(plan))
    ensure_part(engine, acme_part(plan, authority))
    ensure_part(engine, relay_part(plan, authority))
    ensure_part(engine, map_part(plan, authority))
    _collect_roots(plan, authority)


def _collect_roots(plan: LabPlan, authority: Authority) -> None:
    """Pebble's root is new at each of its starts; certificates from the old one stay good."""
    known = plan.roots.read_text() if plan.roots.exists() else authority.root_file.read_text()
    root = issuing_root(plan, authority)
    plan.roots.write_text(known if root in known else known + root)


def _boot_homes(engine: DockerClient, plan: LabPlan) -> None:
    for resident in HOMES:
        ensure_part(engine, router_part(plan, resident))
        part = resident_part(plan, resident)
        ensure_part(engine, part)
        _refresh_trust(engine, plan, part.name)
    for resident in HOMES:
        _wait_until_ready(engine, plan.name(resident))


def _refresh_trust(engine: DockerClient, plan: LabPlan, name: str) -> None:
    """A resident that lacks a root gets it, and starts again: programs read roots once."""
    container = find(engine, name)
    files = trusted(plan.roots)
    if container and container.exec_run(["test", "-e", files[-1].path]).exit_code != 0:
        put_files(container, files)
        container.restart(timeout=1)


def _wait_until_ready(engine: DockerClient, name: str) -> None:
    """Until a resident has its way out and trusts the roots."""
    container = engine.containers.get(name)
    deadline = time.monotonic() + READY_SECONDS
    while container.exec_run(["test", "-e", READY]).exit_code != 0:
        if time.monotonic() > deadline:
            raise CouldNotRun(
                f"{name} was not ready within {READY_SECONDS} s.",
                f"`docker logs {name}` shows what it said.",
            )
        time.sleep(0.1)
