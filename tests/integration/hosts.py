"""Hosts of the lab that tests order, provision item by item, and look at from outside."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deployments.lab.boot import Lab
from deployments.lab.keys import ensure_ssh_key
from deployments.lab.machine import Machine
from deployments.lab.vps import IMAGE, Order, boot_vps, remove_vps, vps_machine
from infra.access.host_keys import pin_host_key
from infra.host.apply import apply_change
from infra.host.provision import Target, after, look, way_in
from infra.model.site import Host

#: Seconds for which a run that a test kills keeps its host locked.
LEASE = 5


class Ordered(NamedTuple):
    """A machine as it was delivered, and how it is reached; its key is `folder/id_ed25519`."""

    machine: Machine
    target: Target
    folder: Path


@contextmanager
def ordered(
    lab: Lab, folder: Path, name: str, image: str = IMAGE, **wanted: Any
) -> Iterator[Ordered]:
    """One more VPS on the lab's internet, as the vps of a site of its own; gone afterwards.

    `wanted`: what the site file says of it.
    """
    place, key = lab.plan.name(name), folder / "id_ed25519"
    network, resolver = lab.plan.name("internet"), lab.plan.place("dns")
    order = Order(name=place, network=network, key=key, resolver=resolver, image=image)
    try:
        delivered = boot_vps(lab.engine, order)
        keys = {"admin_keys": (ensure_ssh_key(key),)}
        host = Host(address=delivered.address, host_key=delivered.fingerprint, **{**keys, **wanted})
        target = target_for(lab, host, folder)
        pin_host_key(target.admin, host.host_key)
        yield Ordered(vps_machine(lab.engine, place), target, folder)
    finally:
        remove_vps(lab.engine, place)


def target_for(lab: Lab, host: Host, folder: Path) -> Target:
    """The lab's site with `host` as its vps, and a state of its own."""
    settings = lab.settings.model_copy(
        update={
            "state_dir": folder / "state",
            "ssh_key": folder / "id_ed25519",
            "lease_seconds": LEASE,
        }
    )
    return Target(settings, lab.site.model_copy(update={"hosts": {"vps": host}}), "vps")


def with_host(target: Target, **changes: Any) -> Target:
    """The same site with another wish for its vps."""
    host = target.site.hosts["vps"].model_copy(update=changes)
    return target._replace(site=target.site.model_copy(update={"hosts": {"vps": host}}))


def change_next(target: Target) -> tuple[str, ...]:
    """Look with fresh eyes, make the first change, forget all; the items that were planned."""
    outlook = look(target)
    for change in outlook.plan.changes[:1]:
        with way_in(target) as session:
            apply_change(session, change, target.admin)
    return tuple(change.item for change in outlook.plan.changes)


def change_all(target: Target, last: str = "") -> tuple[str, ...]:
    """As the flow does it, up to the item `last`; the items that were planned."""
    outlook = look(target)
    target = target._replace(user=outlook.user)
    for change in outlook.plan.changes:
        with way_in(target) as session:
            apply_change(session, change, target.admin)
        target = after(target, change)
        if change.item == last:
            break
    return tuple(change.item for change in outlook.plan.changes)


def within(seconds: float, question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return answer


def connections(machine: Machine, told: str = "Connection from") -> int:
    """How many sshd has told of: each at LogLevel VERBOSE, by `Accepted publickey` who got in."""
    journal = machine.check("journalctl", "-q", "-o", "cat", "--grep", f"^{told}")
    return len(journal.splitlines())
