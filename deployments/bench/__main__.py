"""`make bench`: the running lab measured, as ratios against the same work by bare tools."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from deployments.bench.bare import Bare
from deployments.bench.steps import backup_once
from deployments.bench.timing import in_turn
from deployments.lab.command import meshkeeper
from deployments.lab.plan import LAB, ROOT
from infra.errors import CouldNotRun, MeshkeeperError
from infra.model.drill import CLIENT
from infra.settings import load_settings
from infra.site_file import load_site

RUNS = 9
OUTPUT = ROOT / "build" / "bench.json"


def main() -> int:
    try:
        figures = measure()
    except MeshkeeperError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    OUTPUT.write_text(json.dumps(figures, indent=2))
    print(f"\nwritten to {OUTPUT.relative_to(ROOT)}")
    return 0


def measure() -> dict[str, Any]:
    """All figures, printed as they come. Raises CouldNotRun where no lab is up."""
    if not LAB.site_file.exists():
        raise CouldNotRun("No lab is up.", "Run `make lab` first.")
    settings = load_settings(LAB.site_file)
    site = load_site(settings.site)
    bare = Bare(settings, site)
    ours = partial(backup_once, settings, site)
    return {"plan": plan(bare), "backup": backup(ours, bare), "drill": drill()}


def plan(bare: Bare) -> dict[str, Any]:
    """A no-change plan of the whole site, as a whole process, against `ssh HOST true`."""
    planned = meshkeeper(LAB, "plan")
    if planned["changes"]:
        raise CouldNotRun("The lab's plan is not empty.", "Run `make lab` first.")
    trips = planned["round_trips"]
    pairs = in_turn(lambda: _whole_process("plan"), bare.login, RUNS)
    print(f"plan, nothing to change, against `ssh HOST true`:  {pairs}, {trips} round trip")
    return {**pairs.as_json(), "round_trips": trips}


def backup(ours: Callable[[], None], bare: Bare) -> dict[str, Any]:
    """A backup's own steps against bare tools; the flow's run through Prefect comes on top.

    Both let restic keep its cache; ours applies the retention, too.
    """
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


def _whole_process(command: str) -> None:
    subprocess.run(
        [Path(sys.executable).with_name("meshkeeper"), command, "--site", LAB.site_file],
        check=True, stdin=subprocess.DEVNULL, capture_output=True,
        # As on any machine where Python may keep what it compiled.
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
