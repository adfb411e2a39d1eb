"""When a gate gives up on a container, from what the engine says of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.cli.schema import EXAMPLE
from infra.errors import GateFailed
from infra.rollout import local_gate
from infra.rollout.local_gate import gate_locally
from infra.rollout.render import render_stacks
from infra.site_file import load_site

RUNNING = b'{"apps": {}}'


CADDY = render_stacks(load_site(EXAMPLE))["caddy"]


class Host:
    """Answers what a gate asks: the restarts of each look in turn, and Caddy's configuration."""

    def __init__(self, *restarts: int) -> None:
        self._restarts: Iterator[int] = iter([*restarts, *[restarts[-1]] * 10])

    def as_root(self, command: str) -> str:
        return command

    def check(self, step: str, _command: str, **_: Any) -> bytes:
        if step.startswith("look at"):
            return f"/caddy 123 {next(self._restarts)} running\n".encode()
        return b"200\n" + RUNNING if step.startswith("ask") else RUNNING


def test_restarts_of_long_ago_say_nothing() -> None:
    running, configuration = gate_locally(Host(7), CADDY)  # type: ignore[arg-type]
    assert running.found == "running"
    assert "are equal" in configuration.found


def test_a_container_that_ends_again_and_again_is_given_up_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_gate, "PATIENCE", 60)
    with pytest.raises(GateFailed, match="ends again and again"):
        gate_locally(Host(7, 10), CADDY)  # type: ignore[arg-type]
