"""The firewall, as UFW wrote it down and as the kernel has it."""

from __future__ import annotations

from infra.host.facts.base import read, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def firewall(listing: str, listing6: str) -> dict[str, Any]:
    lines = listing.splitlines()
    tuples = "### tuple ### "
    written = read("/etc/ufw/user.rules") + "\n" + read("/etc/ufw/user6.rules")
    both = [*lines, *listing6.splitlines()]
    return {
        "enabled": settings(read("/etc/ufw/ufw.conf")).get("ENABLED") == "yes",
        "policy": settings(read("/etc/default/ufw")).get("DEFAULT_INPUT_POLICY", ""),
        "rules": [x[len(tuples) :].strip() for x in written.splitlines() if x.startswith(tuples)],
        "live_policies": [line.split()[2] for line in both if line.startswith("-P INPUT ")],
        "live_docker": docker_rules(lines),
        "live_docker6": docker_rules(listing6.splitlines()) if listing6 else None,
        "live_input": [line for line in both if by_hand(line)],
    }


def docker_rules(lines: list[str]) -> list[str]:
    chain = "-A DOCKER-USER "
    return [line[len(chain) :] for line in lines if line.startswith(chain)]


def by_hand(rule: str) -> bool:
    """A rule of INPUT that leads into no chain of UFW, fail2ban or Tailscale."""
    target = rule.partition(" -j ")[2].split(" ")[0]
    return rule.startswith("-A INPUT ") and not target.startswith(("ufw", "f2b-", "ts-"))
