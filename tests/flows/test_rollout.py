"""A rollout that can't go on puts back what it can, and says what it could not."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import rollout
from infra.errors import GateFailed, Unreachable
from infra.model.request import RolloutRequest
from infra.model.stack import Applied, RolloutPlan, StackPlan, StartStack
from tests.unit.test_admission import seen

HEADSCALE, CADDY = (SimpleNamespace(name=name) for name in ("headscale", "caddy"))


def test_a_gate_that_is_red_from_outside_puts_all_back_the_last_first(
    monkeypatch: pytest.MonkeyPatch, site_name: str
) -> None:
    done: list[str] = []

    def step(name: str, answer: Any = None) -> Any:
        def run(_opened: Any, what: Any, *_: Any) -> Any:
            done.append(f"{name} {getattr(what, 'name', '')}".strip())
            return answer

        return run

    def red(*_: Any) -> None:
        raise GateFailed("No answer at https://hs.cronova.dev.", "Look at its DNS.")

    names = {"write_files", "start", "put_back", "finish"}
    applied = Applied(item="x", summary="x", seconds=0)
    steps = {name: step(name, applied) for name in names}
    monkeypatch.setattr(
        rollout,
        "steps",
        SimpleNamespace(**steps, gate_on_host=step("gate", ()), gate_outside=red),
    )
    monkeypatch.setattr(rollout, "plan_all", planned)

    state = rollout.rollout(RolloutRequest(site=site_name), return_state=True)

    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert str(state.message).startswith("No answer at https://hs.cronova.dev.\nFiles and images")
    brought = [
        f"{name} {stack}"
        for stack in ("headscale", "caddy")
        for name in ("write_files", "start", "gate")
    ]
    assert done == [*brought, "put_back caddy", "put_back headscale"]


def planned(_opened: Any, stacks: Any) -> RolloutPlan:
    start = StartStack(item="x", summary="start it", containers=())
    plans = {name: StackPlan(target=name, changes=(start,)) for name in stacks}
    return RolloutPlan(stacks=plans)


@pytest.mark.parametrize(
    "error", [Unreachable("The connection broke."), OSError("The disk is full.")]
)
def test_a_stack_that_can_not_be_put_back_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    back: list[str] = []

    def put_back(_opened: Any, stack: Any) -> None:
        if stack is CADDY:
            raise error
        back.append(stack.name)

    monkeypatch.setattr(rollout.steps, "put_back", put_back)
    progress = rollout.Progress(touched=[HEADSCALE, CADDY])  # type: ignore[list-item]
    (told,) = rollout.all_back(None, progress)  # type: ignore[arg-type]
    assert back == ["headscale"]
    assert told.startswith(f"caddy could not be put back: {error}")


def test_a_host_that_is_too_small_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, site_name: str
) -> None:
    small = {
        "host": {"ram": 300, "swap": 0, "used": 200},
        "data": {"headscale": 0, "caddy": 0},
    }

    def made(_opened: Any, names: Any, _kind: Any) -> dict[str, str]:
        return dict.fromkeys(names, "sha256:1")

    looks = SimpleNamespace(observe_stacks=lambda *_: seen(small), have_images=made)
    monkeypatch.setattr(rollout, "steps", looks)  # any other step would be an AttributeError
    state = rollout.rollout(RolloutRequest(site=site_name), return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "BadInput")
    assert "648 MiB of 300 MiB (300 MiB of RAM)" in str(state.message)
    assert "stacks.headscale.memory_mb (256 MiB)" in str(state.message)
