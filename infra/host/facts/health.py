"""What changes by itself on a host, and what only an audit asks: it starts slower programs."""

from __future__ import annotations

import os

from infra.host.facts.base import finish, listed, start
from infra.host.facts.memory import free_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from infra.host.facts.base import Program

LISTS = "/var/lib/apt/lists"
PERIODIC = "/var/lib/apt/periodic"
UPGRADES = "/etc/apt/apt.conf.d/52meshkeeper"
#: As nobody, who can't write apt's caches: asking leaves no trace.
AS_NOBODY = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"]
#: apt reads for seconds before it says a word, on a small machine that is busy.
PATIENCE = 40


def start_health() -> dict[str, Program | None]:
    return {
        "apt": start("/usr/bin/setpriv", [*AS_NOBODY, "apt-get", "-s", "dist-upgrade"]),
        "units": start("/usr/bin/systemctl", ["list-units", "--failed", "--full", "--plain"]),
        "jail": start("/usr/bin/fail2ban-client", ["status", "sshd"]),
    }


def health_state(programs: dict[str, Program | None]) -> dict[str, Any]:
    outputs = {name: finish(program, PATIENCE) for name, program in programs.items()}
    return {
        "security_updates": security_updates(outputs["apt"]),
        "lists_at": modified(LISTS, LISTS + "/partial", PERIODIC + "/update-stamp"),
        "upgraded_at": modified(PERIODIC + "/unattended-upgrades-stamp"),
        "upgrades_since": modified(UPGRADES),
        "reboot_required_since": modified("/run/reboot-required"),
        "failed_units": failed_units(outputs["units"]),
        "banned": banned(outputs["jail"]),
        "ram_free_bytes": free_memory(),
    }


def security_updates(simulated: str) -> list[str] | None:
    """Packages that would be upgraded; None where apt gave no answer, or knows no such suite."""
    known = any("security" in name for name in listed(LISTS))
    if not known or " newly installed" not in simulated:
        return None
    lines = [line.split() for line in simulated.splitlines() if "Debian-Security:" in line]
    return sorted({words[1] for words in lines if words[0] == "Inst"})


def failed_units(listing: str) -> list[str] | None:
    if "loaded units listed" not in listing:
        return None
    rows = [line.split() for line in listing.splitlines()]
    return [words[0] for words in rows if words[2:3] == ["failed"]]


def banned(status: str) -> int | None:
    """How many addresses; None where the jail does not answer."""
    count = status.partition("Currently banned:")[2].split()[:1]
    return int(count[0]) if count and count[0].isdigit() else None


def modified(*paths: str) -> float:
    """When one of them was written last; 0: none is there."""
    return max(os.stat(path).st_mtime if os.path.exists(path) else 0 for path in paths)
