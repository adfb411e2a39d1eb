"""meshkeeper's own command line, as its user types it, with a program's answer."""

import json
import os
import subprocess
import sys
from typing import Any

from deployments.lab.plan import ROOT, LabPlan
from infra.errors import CouldNotRun, Failed

Json = dict[str, Any]
#: Seconds. A rollout on two cold cores ships its images first.
LONGEST = 900


def meshkeeper(plan: LabPlan, *arguments: str) -> Json:
    """Run `meshkeeper ARGUMENTS --site … --json`; its answer. Raises Failed or CouldNotRun."""
    answer, status = ask_meshkeeper(plan, *arguments)
    if status:
        error = CouldNotRun if status == CouldNotRun.exit_code else Failed
        raise error(
            f"`meshkeeper {' '.join(arguments)}`: {answer.get('message') or 'it failed'}",
            str(answer.get("hint", "")),
        )
    return answer


def ask_meshkeeper(plan: LabPlan, *arguments: str) -> tuple[Json, int]:
    """The same, whatever its exit code: the answer and the code."""
    meshkeeper_of_lab = [sys.executable, "-m", "deployments.cli.main"]
    done = subprocess.run(
        [*meshkeeper_of_lab, *arguments, "--site", str(plan.site_file), "--json"],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    try:
        return json.loads(done.stdout), done.returncode
    except json.JSONDecodeError as error:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise Failed(
            f"`meshkeeper {' '.join(arguments)}` ended with status {done.returncode}: {last}"
        ) from error


def _environment() -> dict[str, str]:
    """Without the settings of this user's own site: they would go before the lab's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MESHKEEPER_")}
