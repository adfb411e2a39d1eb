"""`rollback`: lists a stack's releases; with --to it shows what would be lost, asks, and goes there."""

import sys
from argparse import Namespace

from deployments.cli import flow
from deployments.cli.answer import Answer
from infra.access.login import admin_login
from infra.access.ssh import connect
from infra.errors import BadInput
from infra.model.request import RollbackRequest
from infra.planning.rollback import listing
from infra.rollout import files
from infra.rollout.outlook import wanted_stacks
from infra.rollout.rollback import outlook
from infra.settings import load_settings
from infra.site_file import load_site
from infra.text import printable


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    site = load_site(settings.site)
    stack = wanted_stacks(settings, site, (arguments.stack,))[arguments.stack]
    login = admin_login(settings, site, stack.host)
    if arguments.to is None:
        with connect(login) as session:
            there = files.releases(session, stack)
        return Answer(listing(there), there.model_dump(mode="json"))
    wanted = flow.validated(RollbackRequest, _request(site.name, arguments))
    if not arguments.yes:
        with connect(login) as session:
            plan, _ = outlook(session, stack, RollbackRequest.model_validate(wanted))
        _ask(plan.describe(), as_json=arguments.json)
    return flow.started(settings, flow.FLOWS["rollback"], wanted)


def _request(site: str, arguments: Namespace) -> dict[str, object]:
    return {
        "site": site,
        "stack": arguments.stack,
        "release": arguments.to,
        "with_data": arguments.with_data,
        "confirm": site,
    }


def _ask(plan: str, *, as_json: bool) -> None:
    """Raises BadInput for anything but a yes, and where nobody can be asked."""
    if as_json or not sys.stdin.isatty():
        raise BadInput(f"Nobody is there to be asked about this:\n{plan}", "Add --yes to go there.")
    print(printable(plan))
    try:
        said = input("Go there? [y/N] ").strip().lower()
    except EOFError:
        said = ""
    if said not in {"y", "yes"}:
        raise BadInput("It was not confirmed, and nothing was touched.")
