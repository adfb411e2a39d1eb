"""Rollouts measured: how long they take, and what people notice of them."""

import time
from typing import Any

from deployments.lab import witnesses
from deployments.lab.boot import Lab
from deployments.lab.command import meshkeeper
from deployments.lab.plan import LAB
from deployments.lab.site import Edit, edited
from infra.access.docker import engine as docker_engine


def rolling_out() -> dict[str, Any]:
    """A rollout with nothing to do, with one line changed, and both kinds of change watched."""
    lab = Lab(LAB, docker_engine())
    idle = _roll_out(lab)
    print(f"rollout, command to answer, nothing to change:     {idle:.1f} s")
    figures: dict[str, Any] = {"nothing_to_change_seconds": round(idle, 2)}
    for name, edit in CHANGES.items():
        figures[name] = _watched(lab, name, edit)
    return figures


def _email(site: dict[str, Any]) -> None:
    site["stacks"]["caddy"]["email"] = f"admin@{site['domain']}"


def _memory(site: dict[str, Any]) -> None:
    site["stacks"]["headscale"]["memory_mb"] = 240


CHANGES: dict[str, Edit] = {
    "one line of Caddy's, a reload": _email,
    "headscale replaced": _memory,
}


def _watched(lab: Lab, name: str, edit: Edit) -> dict[str, Any]:
    """Rolled out and undone, with requests from outside and two connected clients watched."""
    url = f"{lab.site.server_url}/health"
    with witnesses.requests(lab, url) as asked, witnesses.device(lab) as client:
        with edited(LAB.site_file, edit):
            there = _roll_out(lab)
        back = _roll_out(lab)
    print(
        f"rollout, {name}:   {there:.1f} s there, {back:.1f} s back\n"
        f"  requests: {len(asked.answers)}, failed {sum(asked.failed.values())}, "
        f"longest {asked.longest:.2f} s\n"
        f"  pings between the clients: {client.pings}, lost {client.lost}; "
        f"states {', '.join(sorted(client.states))}; "
        f"streams broken {len(client.broken_streams)} of {len(client.streams_before)}"
    )
    return {
        "seconds": [round(there, 2), round(back, 2)],
        "requests": len(asked.answers),
        "failed": dict(asked.failed),
        "longest_seconds": round(asked.longest, 2),
        "pings": client.pings,
        "pings_lost": client.lost,
        "client_states": dict(client.states),
        "streams_broken": len(client.broken_streams),
        "streams": len(client.streams_before),
    }


def _roll_out(lab: Lab) -> float:
    """Seconds, from the command to its answer."""
    began = time.monotonic()
    meshkeeper(lab.plan, "rollout", "--yes")
    return time.monotonic() - began
