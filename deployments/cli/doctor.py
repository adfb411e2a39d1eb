"""`doctor`: is everything there that the flows need, and what to do if not."""

from argparse import Namespace

from deployments.cli.answer import Answer
from deployments.cli.checks import Check, checks_of_machine, checks_of_site
from infra.errors import MeshkeeperError
from infra.settings import load_settings
from infra.site_file import load_site


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    checks = checks_of_machine(settings)
    try:
        site = load_site(settings.site)
    except MeshkeeperError as error:
        checks.append(Check("site file", error.message, error.hint or "Edit the file."))
    else:
        checks.append(Check("site file", f"{settings.site}: {site.name}"))
        checks += checks_of_site(settings, site)
    good = all(check.ok for check in checks)
    data = {"ok": good, "checks": [{"ok": check.ok, **check._asdict()} for check in checks]}
    return Answer("\n".join(_lines(check) for check in checks), data, 0 if good else 3)


def _lines(check: Check) -> str:
    line = f"{'✓' if check.ok else '✗'} {check.name:<14} {check.found}"
    return line if check.ok else f"{line}\n    → {check.todo}"
