"""`doctor`: is everything there that the flows need, and what to do if not."""

from argparse import Namespace

from deployments.cli.answer import Answer
from deployments.cli.check import Check
from deployments.cli.machine_checks import checks_of_machine
from deployments.cli.site_checks import checks_of_site
from infra.errors import BadInput, CouldNotRun
from infra.settings import load_settings
from infra.site_file import load_site


def run(arguments: Namespace) -> Answer:
    """Ends with 2 for a site file that can't be used, with 3 where anything else is missing."""
    settings = load_settings(arguments.site)
    checks = checks_of_machine(settings)
    code = 0
    try:
        site = load_site(settings.site)
    except BadInput as error:
        checks.append(Check("site file", error.message, error.hint or "Edit the file."))
        code = BadInput.exit_code
    else:
        checks.append(Check("site file", f"{settings.site}: {site.name}"))
        checks += checks_of_site(settings, site)
    good = all(check.ok for check in checks)
    data = {"ok": good, "checks": [{"ok": check.ok, **check._asdict()} for check in checks]}
    width = max(len(check.name) for check in checks)
    lines = "\n".join(_lines(check, width) for check in checks)
    return Answer(lines, data, code or (0 if good else CouldNotRun.exit_code))


def _lines(check: Check, width: int) -> str:
    line = f"{'✓' if check.ok else '✗'} {check.name:<{width}}  {check.found}"
    return line if check.ok else f"{line}\n    → {check.todo}"
