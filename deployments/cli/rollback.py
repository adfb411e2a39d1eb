"""`rollback`: lists a stack's releases; with --to it goes to one, once its plan was shown and approved."""

from argparse import Namespace

from deployments.cli import flow
from deployments.cli.answer import Answer
from deployments.cli.approve import require_somebody_to_ask
from deployments.embedded import control_plane
from infra.access.login import admin_login
from infra.access.ssh import connect
from infra.model.request import RollbackRequest
from infra.model.site import Site
from infra.planning.rollback import listing
from infra.rollout import files
from infra.rollout.outlook import wanted_stacks
from infra.settings import Settings, load_settings
from infra.site_file import load_site, require_named


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    site = load_site(settings.site)
    if arguments.to is None:
        return _listed(settings, site, arguments.stack)
    request = {
        "site": site.name,
        "stack": arguments.stack,
        "release": arguments.to,
        "with_data": arguments.with_data,
        "approve": "any" if arguments.yes else "ask",
    }
    wanted = flow.validated(RollbackRequest, request)
    require_named(site, (arguments.stack,))
    control_plane.refuse_other_site(settings)
    if not arguments.yes:
        require_somebody_to_ask(arguments)
    return flow.started(settings, flow.FLOWS["rollback"], wanted)


def _listed(settings: Settings, site: Site, name: str) -> Answer:
    stack = wanted_stacks(settings, site, (name,))[name]
    with connect(admin_login(settings, site, stack.host)) as session:
        there = files.releases(session, stack)
    return Answer(listing(there), there.model_dump(mode="json"))
