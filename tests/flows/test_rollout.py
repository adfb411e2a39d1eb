"""A rollout that can't go on puts back what it can, and says what it could not."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import rollout
from infra.errors import Unreachable

HEADSCALE, CADDY = (SimpleNamespace(name=name) for name in ("headscale", "caddy"))


def test_a_stack_that_can_not_be_put_back_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back: list[str] = []

    def put_back(_opened: Any, stack: Any) -> None:
        if stack is CADDY:
            raise Unreachable("The connection broke.")
        back.append(stack.name)

    monkeypatch.setattr(rollout.steps, "put_back", put_back)
    progress = rollout.Progress(touched=[HEADSCALE, CADDY])  # type: ignore[list-item]
    (told,) = rollout.all_back(None, progress)  # type: ignore[arg-type]
    assert back == ["headscale"]
    assert told.startswith("caddy could not be put back: The connection broke.")
