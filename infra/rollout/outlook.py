"""What a site's stacks should be like, and what one look at their host says is missing."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.access.anchor import canary_key, load_anchor
from infra.errors import BadInput
from infra.images.catalog import CATALOG
from infra.model.mesh import MeshPlan
from infra.model.observation import Observation, ObserveRequest, StackQuery
from infra.model.rehearsal import Upgrade
from infra.model.request import StackName
from infra.model.site import Site
from infra.model.snapshot import DATABASE
from infra.model.stack import RenderedStack, StackPlan
from infra.planning.mesh import plan_mesh
from infra.planning.retired import plan_retired
from infra.planning.stack import plan_stack, with_pins
from infra.planning.upgrade import plan_upgrade
from infra.rollout.render import render_stacks
from infra.rollout.secret_files import secrets_of
from infra.settings import Settings
from infra.site_file import require_named

Stacks = Mapping[StackName, RenderedStack]


def wanted_stacks(
    settings: Settings, site: Site, names: Iterable[StackName]
) -> dict[StackName, RenderedStack]:
    """The named stacks, or all, as they should be, in rollout order.

    Raises BadInput for a name that is none, a root that can't be read, a secret without a value,
    and like `render_stacks`.
    """
    wanted = set(names) or set(site.stacks.named)
    require_named(site, wanted)
    root = site.stacks.caddy.acme_root
    try:
        root_pem = Path(root).read_bytes() if root else None
    except OSError as error:
        raise BadInput(
            f"stacks.caddy.acme_root: {root} can't be read: {error.strerror}.",
            "Leave it out, but for an ACME server of your own.",
        ) from None
    secrets = {name: secrets_of(settings, site, name) for name in wanted}
    rendered = render_stacks(site, root_pem, secrets)
    return {name: stack for name, stack in rendered.items() if name in wanted}


def stacks_on(settings: Settings, site: Site, host: str) -> dict[StackName, RenderedStack]:
    """All that the site wants on one host."""
    every = wanted_stacks(settings, site, ())
    return {name: stack for name, stack in every.items() if stack.host == host}


def with_needed(site: Site, names: Iterable[StackName]) -> set[StackName]:
    """These stacks, and those that they need."""
    found = set(names)
    for name in names:
        found |= with_needed(site, site.declared[name].declaration.needs.stacks)
    return found


def front(site: Site) -> StackName:
    """The stack through which the world comes in."""
    return next(name for name in site.stacks.named if site.declared[name].declaration.routes_web)


def query(site: Site, host: str, stacks: Stacks) -> ObserveRequest:
    """What to ask a host, so that its own plan and those of its stacks can be made."""
    here = [stack for stack in stacks.values() if stack.host == host]
    return ObserveRequest(
        admin=site.hosts[host].admin,
        stacks=tuple(
            StackQuery(project=stack.name, directory=stack.directory, exclude=stack.data)
            for stack in here
        ),
        images=tuple(sorted({image for stack in here for image in stack.images})),
        database=next(
            (s.directory / "data" / DATABASE for s in here if s.name == "headscale"), None
        ),
    )


def plans(
    stacks: Stacks, image_ids: Mapping[str, str], pinned: Mapping[str, str], seen: Observation
) -> dict[StackName, StackPlan]:
    """A plan per stack, in the same order. By name: `image_ids` on the control machine, `pinned`
    when they were last rolled out."""
    return {
        name: with_pins(
            plan_stack(stack, image_ids, seen.stacks[name], seen.images),
            {image: image_ids[image] for image in stack.images},
            pinned,
        )
        for name, stack in stacks.items()
    }


def retired(site: Site, host: str, seen: Observation) -> tuple[StackPlan, ...]:
    """What runs on `host`, and is no longer named there; asked only of a look at all its stacks."""
    named = [name for name, stack in site.stacks.named.items() if stack.host == host]
    return tuple(plan_retired(host, named, seen.projects))


def mesh_plan(settings: Settings, site: Site, seen: Observation) -> MeshPlan:
    """What the mesh lacks; `seen` is the host of its server."""
    headscale = site.stacks.headscale
    return plan_mesh(headscale.host, headscale.users, canary_key(settings, site.name), seen.mesh)


def upgrade_of(settings: Settings, site: Site, stacks: Stacks, seen: Observation) -> Upgrade | None:
    """Another version of headscale on data that is there. Raises BadInput for one that can't be.

    What a first rollout left, whose gate was red, has no canary to rehearse with and no user to miss it.
    """
    ever_served = load_anchor(settings, site.name).server_key is not None
    return plan_upgrade(
        stacks["headscale"],
        seen.stacks["headscale"],
        has_data=seen.mesh is not None and ever_served,
        known=CATALOG,
    )
