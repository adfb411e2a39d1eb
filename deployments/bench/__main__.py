"""`make bench`: the running lab measured, as ratios against the same work by bare tools."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from deployments.bench.bare import Bare
from deployments.bench.host import distances, provisioning
from deployments.bench.rollout import rolling_out
from deployments.bench.shipping import shipping
from deployments.bench.steps import backup_once
from deployments.bench.timing import in_turn
from deployments.lab.command import meshkeeper
from deployments.lab.plan import LAB, ROOT
from infra.errors import BadInput, CouldNotRun, MeshkeeperError
from infra.model.drill import CLIENT
from infra.settings import load_settings
from infra.site_file import load_site

RUNS = 9
OUTPUT = ROOT / "build" / "bench.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.bench", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}")
    try:
        figures = measure(parser.parse_args().figures or list(FIGURES))
    except MeshkeeperError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    OUTPUT.write_text(json.dumps(figures, indent=2))
    print(f"\nwritten to {OUTPUT.relative_to(ROOT)}")
    return 0


def measure(wanted: list[str]) -> dict[str, Any]:
    """These figures, printed as they come. Raises BadInput, and CouldNotRun where no lab is up."""
    if unknown := set(wanted) - FIGURES.keys():
        raise BadInput(
            f"There is no figure {unknown.pop()!r}.", f"There are: {', '.join(FIGURES)}."
        )
    if not LAB.site_file.exists():
        raise CouldNotRun("No lab is up.", "Run `make lab` first.")
    return {name: FIGURES[name]() for name in wanted}


def plan() -> dict[str, Any]:
    """A no-change plan of the whole site, as a whole process, against `ssh HOST true`."""
    planned = meshkeeper(LAB, "plan")
    if planned["changes"]:
        raise CouldNotRun("The lab's plan is not empty.", "Run `make lab` first.")
    trips = planned["round_trips"]
    print(f"plan, nothing to change ({trips} round trip), against `ssh HOST true`:")
    return {**distances(_plan_of, RUNS), "round_trips": trips}


def backup() -> dict[str, Any]:
    """A backup's own steps against bare tools; the flow's run through Prefect comes on top.

    Both let restic keep its cache; ours applies the retention, too.
    """
    settings = load_settings(LAB.site_file)
    site = load_site(settings.site)
    ours, bare = partial(backup_once, settings, site), Bare(settings, site)
    with tempfile.TemporaryDirectory() as folder:
        bare.prepare(Path(folder))
        pairs = in_turn(ours, bare.backup, 5)
    began = time.monotonic()
    meshkeeper(LAB, "backup")
    whole = time.monotonic() - began
    print(f"backup, against .backup + scp + restic:            {pairs}")
    print(f"  the same through Prefect, command to answer:     {whole:.1f} s")
    return {**pairs.as_json(), "through_prefect_seconds": round(whole, 2)}


def drill() -> dict[str, Any]:
    """A drill with all evidence, by phase."""
    report = meshkeeper(LAB, "drill")["report"]
    phases: dict[str, float] = report["phases"]
    evidence = {proof["kind"]: proof["seconds"] for proof in report["evidence"]}
    print(f"drill ({report['verdict']}):")
    # The client's phase is what its proof took.
    total = sum(phases.values()) - phases.get(CLIENT, 0.0) + sum(evidence.values())
    figures = {**phases, **{f"evidence: {k}": s for k, s in evidence.items()}, "all of it": total}
    for name, seconds in figures.items():
        print(f"  {name:36} {seconds:5.1f} s")
    return {
        "verdict": report["verdict"],
        "phases": phases,
        "evidence": evidence,
        "seconds": round(total, 2),
    }


def _plan_of(site_file: Path) -> None:
    """As a whole process, as a person starts it."""
    subprocess.run(
        [Path(sys.executable).with_name("meshkeeper"), "plan", "--site", site_file],
        check=True, stdin=subprocess.DEVNULL, capture_output=True,
        # As on any machine where Python may keep what it compiled.
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    )  # fmt: skip


FIGURES = {
    "provision": provisioning,
    "plan": plan,
    "rollout": rolling_out,
    "shipping": shipping,
    "backup": backup,
    "drill": drill,
}


if __name__ == "__main__":
    sys.exit(main())
