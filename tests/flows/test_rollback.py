"""Going back: nothing without the site's name typed, and the present comes back when a gate is red."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from flows import rollback, rollout
from infra.errors import BadInput, GateFailed
from infra.model.release import BringRelease, ReplaceData, RollbackPlan
from infra.model.request import RollbackRequest
from infra.model.stack import Check, PutBack

RELEASE = "20261127T093000Z"
PLAN = RollbackPlan(
    target="vps.headscale",
    changes=(
        BringRelease(item="x", summary="bring it", release=RELEASE, snapshot=True),
        ReplaceData(item="x", summary="replace them", data_of=RELEASE),
    ),
)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps in their order, none of which reaches out; a test breaks one of them."""
    names: list[str] = []

    def step(name: str, answer: Any = None) -> Any:
        def run(*_: Any) -> Any:
            names.append(name)
            return answer

        return run

    own = {name: step(name) for name in ("announce", "bring", "replace_data", "start", "confirm")}
    monkeypatch.setattr(
        rollback, "steps", SimpleNamespace(**own, look=step("look", (PLAN, "policy")))
    )
    asked = (Check(name="x", found="x", seconds=0),)
    shared = {name: step(name, asked) for name in ("gate_on_host", "gate_outside", "finish")}
    monkeypatch.setattr(rollback, "rollout", SimpleNamespace(**shared))
    monkeypatch.setattr(rollback, "locked", lambda opened, *_: nullcontext(opened))
    monkeypatch.setattr(
        rollout, "steps", SimpleNamespace(put_back=step("put_back", PutBack(data_of=RELEASE)))
    )
    return names


def test_without_the_sites_name_nothing_is_even_looked_at(done: list[str], site_name: str) -> None:
    request = RollbackRequest(site=site_name, release=RELEASE)
    state = rollback.rollback(request, return_state=True)
    assert state.name == "BadInput"
    assert f"write {site_name} in `confirm`" in str(state.message)
    assert done == []


def test_a_release_is_brought_as_a_rollout_would(done: list[str], site_name: str) -> None:
    request = RollbackRequest(site=site_name, release=RELEASE, confirm=site_name)
    state = rollback.rollback(request, return_state=True)
    assert state.is_completed(), state.message
    brought = ["look", "announce", "bring", "replace_data", "start"]
    assert done == [*brought, "gate_on_host", "gate_outside", "finish", "confirm"]


def test_a_red_gate_brings_the_present_back(
    done: list[str], site_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def red(*_: Any) -> None:
        raise GateFailed("headscale does not answer.")

    monkeypatch.setattr(rollback.rollout, "gate_on_host", red)
    request = RollbackRequest(site=site_name, release=RELEASE, confirm=site_name)
    state = rollback.rollback(request, return_state=True)
    assert (state.name, done[-1]) == ("Failed", "put_back")
    assert "headscale does not answer.\nFiles and images are back" in str(state.message)
    assert f"as of {RELEASE}" in str(state.message)


def test_a_policy_that_was_never_ours_stops_it_before_anything_is_touched(
    done: list[str], site_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stranger(*_: Any) -> None:
        raise BadInput("The policy of that release is none that this machine has rolled out.")

    monkeypatch.setattr(rollback.steps, "announce", stranger)
    request = RollbackRequest(site=site_name, release=RELEASE, confirm=site_name)
    state = rollback.rollback(request, return_state=True)
    assert (state.name, done) == ("BadInput", ["look"])
