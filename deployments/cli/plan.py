"""`plan`: what would change on the site's hosts. One connection and one round trip per host."""

from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deployments.cli.answer import Answer
from infra.host.observe import observe
from infra.host.provision import Target, way_in
from infra.model.plan import Plan
from infra.model.site import published_ports
from infra.planning.host import plan_host
from infra.rollout.outlook import plans, query, wanted_stacks
from infra.rollout.pins import recorded_ids
from infra.settings import load_settings
from infra.site_file import load_site

CHANGES = 4


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    site = load_site(settings.site)
    targets = [Target(settings, site, host) for host in site.hosts]
    with ThreadPoolExecutor(max_workers=8) as hosts:
        found = [plan for of_host in hosts.map(plan_target, targets) for plan in of_host]
    changed = any(not plan.empty for plan in found)
    return Answer(
        "\n".join(plan.describe() for plan in found),
        {"site": site.name, "changes": changed, "plans": [_data(plan) for plan in found]},
        CHANGES if changed and arguments.check else 0,
    )


def plan_target(target: Target) -> list[Plan[Any]]:
    """The host's plan, and one per stack on it."""
    site, host = target.site, target.host
    stacks = {
        name: stack
        for name, stack in wanted_stacks(site, ("headscale", "caddy")).items()
        if stack.host == host
    }
    images = sorted({image for stack in stacks.values() for image in stack.images})
    with way_in(target) as session:
        seen = observe(session, query(site, host, stacks))
    of_host = plan_host(site.hosts[host], published_ports(site, host), seen.host)
    ids = recorded_ids(target.settings, site.name, images)
    return [of_host, *plans(stacks, ids, seen).values()]


def _data(plan: Plan[Any]) -> dict[str, Any]:
    return {**plan.model_dump(mode="json"), "digest": plan.digest}
