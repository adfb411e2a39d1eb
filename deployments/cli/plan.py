"""`plan`: what would change on the site's hosts. One connection and one round trip per host."""

from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from deployments.cli.answer import Answer, as_data
from infra.errors import BadInput
from infra.host.observe import observe
from infra.host.provision import Target, host_plan, way_in
from infra.host.report import machine_line
from infra.images.platforms import architecture_of
from infra.model.admission import Admission
from infra.model.host import Machine
from infra.model.observation import Observation
from infra.model.plan import Plan
from infra.planning.admission import admit, require_room
from infra.rollout.outlook import (
    Stacks,
    mesh_plan,
    plans,
    query,
    retired,
    stacks_on,
    upgrade_of,
)
from infra.rollout.pins import recorded_ids, recorded_sizes
from infra.settings import load_settings
from infra.site_file import load_site

CHANGES = 4


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    site = load_site(settings.site)
    targets = [Target(settings, site, host) for host in site.hosts]
    with ThreadPoolExecutor(max_workers=8) as hosts:
        seen = list(hosts.map(plan_target, targets))
    found = [plan for host in seen for plan in host.plans]
    changed = any(not plan.empty for plan in found)
    data = {
        "site": site.name,
        "changes": changed,
        "plans": [_data(plan) for plan in found],
        "machines": {host.plans[0].target: host.machine.model_dump() for host in seen},
        "room": {host.plans[0].target: host.room.model_dump() for host in seen},
        "round_trips": sum(host.round_trips for host in seen),
    }
    text = "\n".join(line for host in seen for line in _lines(host))
    if refused := next((host.refused for host in seen if host.refused), None):
        return Answer(f"{text}\n{refused}", data | as_data(refused), refused.exit_code)
    try:
        require_room(host.room for host in seen)
    except BadInput as refusal:
        return Answer(f"{text}\n{refusal.hint}", data, refusal.exit_code)
    return Answer(text, data, CHANGES if changed and arguments.check else 0)


class Seen(NamedTuple):
    """A host's plan, those of its stacks and of the mesh, whether all of it fits there, and how many
    commands it took to know that. `refused`: why no rollout would do it, with what to do instead."""

    plans: list[Plan[Any]]
    room: Admission
    machine: Machine
    round_trips: int
    refused: BadInput | None


def plan_target(target: Target) -> Seen:
    """Connect once, look once, plan."""
    site, host = target.site, target.host
    stacks = stacks_on(target.settings, site, host)
    images = sorted({image for stack in stacks.values() for image in stack.images})
    with way_in(target) as session:
        seen = observe(session, query(site, host, stacks))
        of_host: Plan[Any] = host_plan(target, session, seen.host)
    kind = architecture_of(seen.host.machine.architecture, host)
    ids = recorded_ids(target.settings, site.name, images, kind)
    of_stacks = plans(stacks, ids, ids, seen)
    sizes = recorded_sizes(target.settings, site.name)
    room = admit(stacks, of_stacks, seen, sizes)
    found = [of_host, *of_stacks.values()]
    refused = None
    if "headscale" in stacks:
        refused = refused_upgrade(target, stacks, seen)
        found.append(mesh_plan(target.settings, site, seen))
    found += retired(site, host, seen)
    return Seen(found, room, seen.host.machine, session.round_trips, refused)


def refused_upgrade(target: Target, stacks: Stacks, seen: Observation) -> BadInput | None:
    """A rollout's refusal of another version of headscale; here it hides nothing else of the plan."""
    try:
        upgrade_of(target.settings, target.site, stacks, seen)
    except BadInput as refusal:
        return refusal
    return None


def _lines(host: Seen) -> list[str]:
    """The host's own plan comes first, and then what it is."""
    first, *others = (plan.describe() for plan in host.plans)
    room = host.room.describe()
    return [first, f"  {machine_line(host.machine)}", *others, *([room] if room else [])]


def _data(plan: Plan[Any]) -> dict[str, Any]:
    return {**plan.model_dump(mode="json"), "digest": plan.digest}
