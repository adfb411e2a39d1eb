"""Rolling out other wishes than the site's: a change of the site file, and its undoing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper
from deployments.lab.site import Edit, edited
from infra.mesh.headscale import list_nodes, list_users, parse_nodes, parse_users

HEADSCALE = "/home/linuxuser/docker/vps/networking/headscale"


@contextmanager
def site_changed(lab: Lab, edit: Edit) -> Iterator[None]:
    """The site file as `edit` wants it; afterwards as it was, and rolled out so."""
    try:
        with edited(lab.plan.site_file, edit):
            yield
    finally:
        roll_out(lab)


def roll_out(lab: Lab) -> dict[str, Any]:
    """The report of a rollout that must succeed."""
    answer, status = ask_meshkeeper(lab.plan, "rollout", "--yes")
    assert status == 0, answer
    report: dict[str, Any] = answer["report"]
    return report


def kinds(report: dict[str, Any]) -> list[str]:
    """What was changed: `caddy.reload`."""
    return [
        f"{plan['target'].split('.')[-1]}.{change['kind']}"
        for plan in report["plan"]["stacks"].values()
        for change in plan["changes"]
    ]


def server_key(lab: Lab) -> str:
    """As the observer sees it: through DNS, certificates and Caddy."""
    answer = lab.observer.check("curl", "-sS", "-m", "20", f"{lab.site.server_url}/key?v=113")
    return str(json.loads(answer)["publicKey"])


def serves(lab: Lab) -> bool:
    """Whether the observer gets the server's word that it is in order."""
    asked = ("curl", "-sf", "-o", "/dev/null", "-m", "20", f"{lab.site.server_url}/health")
    return lab.observer.run(*asked).status == 0


def keys_on_host(lab: Lab) -> str:
    """The keys that headscale made, by content."""
    return lab.vps.check("sh", "-c", f"sha256sum {HEADSCALE}/data/*.key")


def data_on_host(lab: Lab) -> tuple[object, ...]:
    """What headscale must never lose: its keys, its users, and the nodes with their keys."""
    users, nodes = (
        lab.vps.check("docker", "exec", "headscale", *asked()).encode()
        for asked in (list_users, list_nodes)
    )
    return keys_on_host(lab), parse_users(users), parse_nodes(nodes)


def with_memory(lab: Lab, megabytes: int) -> None:
    """Let the site want another limit for headscale, which replaces it."""
    values = yaml.safe_load(lab.plan.site_file.read_text())
    values["stacks"]["headscale"]["memory_mb"] = megabytes
    lab.plan.site_file.write_text(yaml.safe_dump(values))
