"""`make scores`: what tools that others know say of a VPS, as delivered and once provisioned.

Lynis runs on the VPS, ssh-audit from here. The VPS is the lab's, by itself, and goes afterwards.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deployments.lab.command import meshkeeper
from deployments.lab.machine import Machine
from deployments.lab.plan import ROOT, LabPlan
from deployments.lab.site import write_site
from deployments.lab.vps import IMAGE, Order, boot_vps, remove_vps, vps_machine
from infra.access.docker import engine as docker_engine
from infra.errors import Failed, MeshkeeperError
from infra.images.ensure import ensure_images

PLAN = LabPlan(
    prefix="mk-scores", subnet="10.79", ui_port=4279, directory=ROOT / "build/scores-lab"
)
OUTPUT = ROOT / "build" / "scores.json"
LYNIS_REPORT = "/var/log/lynis-report.dat"
#: Seconds. Lynis looks at everything, on one slow core.
LONGEST = 600
INSTALL = """\
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends lynis >/dev/null
# A provider's machine has a host key of each type.
ssh-keygen -A >/dev/null
"""

Json = dict[str, Any]


def main() -> int:
    try:
        with delivered() as vps:
            scores = measure(vps)
    except MeshkeeperError as error:
        print(f"scores: {error}", file=sys.stderr)
        return error.exit_code
    OUTPUT.write_text(json.dumps(scores, indent=2))
    print(f"\nwritten to {OUTPUT.relative_to(ROOT)}")
    return 0


@contextmanager
def delivered() -> Iterator[Machine]:
    """A VPS of its own, with a site file that describes it; it goes afterwards."""
    engine, name = docker_engine(), PLAN.name("vps")
    ensure_images([IMAGE])
    remove_vps(engine, name)
    try:
        write_site(PLAN, boot_vps(engine, Order(name=name, network="bridge", key=PLAN.ssh_key)))
        yield vps_machine(engine, name)
    finally:
        remove_vps(engine, name)


def measure(vps: Machine) -> dict[str, Json]:
    """Both tools' words before and after, printed as a table."""
    vps.check("sh", "-c", INSTALL, timeout=LONGEST)
    before = scored(vps)
    meshkeeper(PLAN, "provision")
    after = scored(vps)
    print("| said by | as delivered | provisioned |\n|---|---|---|")
    for what, value in before.items():
        if not isinstance(value, list):
            print(f"| {what} | {value} | {after[what]} |")
    return {"as delivered": before, "provisioned": after}


def scored(vps: Machine) -> Json:
    return {**lynis(vps), **ssh_audit(vps)}


def lynis(vps: Machine) -> Json:
    """Its hardening index (of 100), and what it would change."""
    vps.check("lynis", "audit", "system", "--quick", "--quiet", "--no-colors", timeout=LONGEST)
    lines = vps.check("cat", LYNIS_REPORT).splitlines()
    found = [line.partition("=")[::2] for line in lines if "=" in line]
    index = next(value for key, value in found if key == "hardening_index")
    warnings = [value for key, value in found if key == "warning[]"]
    suggestions = [value for key, value in found if key == "suggestion[]"]
    return {
        "Lynis: hardening index, of 100": int(index),
        "Lynis: warnings": len(warnings),
        "Lynis: suggestions": len(suggestions),
        "warned": warnings,
        "suggested": suggestions,
    }


def ssh_audit(vps: Machine) -> Json:
    """Algorithms that it would have removed, and those that it only warns of."""
    # sshd penalises whoever knocks as often as this; a new one has forgotten it.
    vps.check("systemctl", "restart", "ssh")
    done = subprocess.run(
        [sys.executable, "-m", "ssh_audit", "-j", "--skip-rate-test", vps.address],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    vps.check("systemctl", "restart", "ssh")
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise Failed(f"ssh-audit gave no answer: {done.stderr or done.stdout}"[:500]) from error
    return {
        "ssh-audit: algorithms that fail": len(noted(answer, "fail")),
        "ssh-audit: algorithms warned of": len(noted(answer, "warn") - noted(answer, "fail")),
        "failing": sorted(noted(answer, "fail")),
        "warned of": sorted(noted(answer, "warn")),
    }


def noted(answer: Json, kind: str) -> set[str]:
    """Host keys, key exchanges, ciphers and MACs of which ssh-audit has something to say."""
    return {
        f"{group} {entry['algorithm']}"
        for group in ("key", "kex", "enc", "mac")
        for entry in answer[group]
        if entry["notes"].get(kind)
    }


if __name__ == "__main__":
    sys.exit(main())
