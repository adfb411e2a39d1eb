"""A host measured: its provisioning by item, and a plan of it from near and from afar."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from deployments.bench.bare import Bare
from deployments.bench.timing import in_turn
from deployments.lab.command import meshkeeper
from deployments.lab.link import LOOPBACK, Link, free_port, link_to
from deployments.lab.plan import LAB, LabPlan
from deployments.lab.site import write_site
from deployments.lab.vps import Order, boot_vps, remove_vps
from infra.access.docker import engine as docker_engine
from infra.access.host_keys import pin_host_key
from infra.access.login import admin_login
from infra.settings import ENV_FILE, load_settings
from infra.site_file import load_site

#: Milliseconds that distance adds each way.
EACH_WAY = 75


def provisioning() -> dict[str, Any]:
    """A machine as it was delivered, provisioned by the command line, by item."""
    with _bare_site() as site:
        report = meshkeeper(site, "provision")["report"]
    items: dict[str, float] = {change["item"]: change["seconds"] for change in report["changes"]}
    total: float = report["seconds"]
    figures = {**items, "host key, looks, Prefect": total - sum(items.values()), "all of it": total}
    print("provisioning of a bare machine:")
    for name, seconds in figures.items():
        print(f"  {name:36} {seconds:5.1f} s")
    return {"items": items, "seconds": total}


@contextmanager
def _bare_site() -> Iterator[LabPlan]:
    """A site of its own on the lab's internet, with a new VPS, and no control plane."""
    engine, name = docker_engine(), LAB.name("bench")
    with tempfile.TemporaryDirectory() as folder:
        plan = LAB.model_copy(update={"directory": Path(folder), "ui_port": free_port()})
        order = Order(
            name=name, network=LAB.name("internet"), key=plan.ssh_key, resolver=LAB.place("dns")
        )
        remove_vps(engine, name)
        try:
            write_site(plan, boot_vps(engine, order))
            yield plan
        finally:
            remove_vps(engine, name)


def distances(plan_of: Callable[[Path], None], runs: int) -> dict[str, Any]:
    """The lab's plan, as a whole process, against `ssh HOST true`, both over the same link."""
    figures, medians = {}, []
    with _lab_over_link() as (site_file, link):
        settings = load_settings(site_file)
        bare = Bare(settings, load_site(site_file))
        for each_way in (0, EACH_WAY):
            link.mend()
            link.delay(each_way)
            pairs = in_turn(lambda: plan_of(site_file), bare.login, runs)
            print(f"  at a distance of {2 * each_way:3} ms there and back:    {pairs}")
            figures[f"at {2 * each_way} ms"] = pairs.as_json()
            medians.append((median(pairs.ours), median(pairs.bare)))
    near, far = medians
    trips = [round((b - a) * 1000 / (2 * EACH_WAY), 1) for a, b in zip(near, far, strict=True)]
    print(f"  so it waits for the network {trips[0]} times, ssh {trips[1]} times")
    return {**figures, "network_round_trips": trips[0], "network_round_trips_of_ssh": trips[1]}


@contextmanager
def _lab_over_link() -> Iterator[tuple[Path, Link]]:
    """A copy of the lab's site file and of what is known of it, whose host is behind a link."""
    with tempfile.TemporaryDirectory() as name, link_to(f"{LAB.place('vps')}:22") as link:
        folder = Path(name)
        shutil.copytree(LAB.state / "sites", folder / "state/sites")
        values = yaml.safe_load(LAB.site_file.read_text())
        values["hosts"]["vps"] |= {"address": LOOPBACK, "port": link.port}
        site_file = folder / LAB.site_file.name
        site_file.write_text(yaml.safe_dump(values))
        (folder / ENV_FILE).write_text(
            f"MESHKEEPER_STATE_DIR={folder / 'state'}\nMESHKEEPER_SSH_KEY={LAB.ssh_key}\n"
        )
        settings, site = load_settings(site_file), load_site(site_file)
        pin_host_key(admin_login(settings, site, "vps"), site.hosts["vps"].host_key)
        yield site_file, link
