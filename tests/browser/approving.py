"""A rollout that waits in a real control plane, though its host is dead: only the host is not real."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deployments.embedded.api import Api
from infra.model.stack import (
    ReloadStack,
    RolloutPlan,
    StackPlan,
    StartStack,
    WriteFile,
)

ROOT = Path(__file__).parents[2]
PLAN = RolloutPlan(
    stacks={
        "headscale": StackPlan(
            target="vps.headscale",
            changes=(
                WriteFile(
                    item="headscale.file",
                    summary="write config/config.yaml: it differs",
                    path="config/config.yaml",
                    sha256="0" * 64,
                ),
                StartStack(
                    item="headscale.containers",
                    summary="start headscale: headscale runs with another configuration",
                    interrupts="For a second or two Caddy holds new requests; traffic between devices goes on.",
                    containers=("headscale",),
                ),
            ),
        ),
        "caddy": StackPlan(
            target="vps.caddy",
            changes=(
                ReloadStack(
                    item="caddy.configuration", summary="let caddy take over its Caddyfile"
                ),
            ),
        ),
    }
)


@contextmanager
def asking_in(url: str) -> Iterator[Api]:
    """Within it the rollout of the control plane at `url` is the stand-in."""
    api = Api(f"{url}/api")
    deployment = api.deployment("rollout/rollout")
    assert deployment
    _set_entrypoint(url, deployment["id"], "tests.browser.stand_in.rollout")
    try:
        yield api
    finally:
        _set_entrypoint(url, deployment["id"], deployment["entrypoint"])


def _set_entrypoint(url: str, deployment_id: str, entrypoint: str) -> None:
    """Again where the server says that its database is busy."""
    address = f"{url}/api/deployments/{deployment_id}"
    for _ in range(30):
        answer = httpx.patch(address, json={"entrypoint": entrypoint}, trust_env=False)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(1)
    answer.raise_for_status()
