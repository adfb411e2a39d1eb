"""Going back: nothing without a yes to its plan, and the present comes back when a gate is red."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from flows import rollback, rollout
from flows.approval import asking
from infra.errors import BadInput, GateFailed
from infra.model.approval import Answer
from infra.model.release import (
    BringRelease,
    EndRollout,
    ReplaceData,
    RollbackOutlook,
    RollbackPlan,
)
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


def outlook(plan: RollbackPlan) -> RollbackOutlook:
    return RollbackOutlook(plan=plan, policy="0" * 64)


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
    monkeypatch.setattr(rollback, "steps", SimpleNamespace(**own, look=step("look", outlook(PLAN))))
    check = Check(name="x", found="x", seconds=0)
    shared = {name: step(name, (check,)) for name in ("gate_on_host", "gate_outside", "finish")}
    shared |= {"watch": step("watch", check), "put_back": step("put_back", PutBack())}
    monkeypatch.setattr(rollback, "rollout", SimpleNamespace(**shared))
    monkeypatch.setattr(rollback, "locked", lambda opened, *_: nullcontext(opened))
    monkeypatch.setattr(
        rollout, "steps", SimpleNamespace(put_back=step("put_back", PutBack(data_of=RELEASE)))
    )
    return names


def test_without_a_yes_nothing_is_touched(done: list[str], site_name: str) -> None:
    def no(text: str, plan: str) -> Answer:
        assert "replace them" in text
        return Answer(answer="no", name="Ada", plan=plan)

    with asking(no):
        state = rollback.rollback(
            RollbackRequest(site=site_name, release=RELEASE), return_state=True
        )
    assert (state.name, done) == ("NotApproved", ["look"])


def test_what_came_meanwhile_is_shown_and_asked_about_anew(
    done: list[str], site_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = PLAN.model_copy(update={"notes": ("node phone would be gone",)})
    looks = [outlook(PLAN), outlook(later), outlook(later)]
    monkeypatch.setattr(rollback.steps, "look", lambda *_: looks.pop(0))
    texts: list[str] = []

    def yes(text: str, plan: str) -> Answer:
        texts.append(text)
        return Answer(answer="yes", name="Ada", plan=plan)

    with asking(yes):
        report = rollback.rollback(RollbackRequest(site=site_name, release=RELEASE))
    assert ["node phone" in text for text in texts] == [False, True]
    assert (report.approval.by, report.approval.plan) == ("Ada", later.digest)
    assert "bring" in done


def test_a_cut_off_rollout_is_put_back_and_then_asked_and_watched(
    done: list[str], site_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = RollbackPlan(
        target="vps.headscale", changes=(EndRollout(item="x", summary="end it", data_of=None),)
    )
    monkeypatch.setattr(rollback.steps, "look", lambda *_: outlook(plan))
    back = PutBack(data_of=RELEASE, diff="-a")
    monkeypatch.setattr(rollback.rollout, "put_back", lambda *_: done.append("put_back") or back)
    report = rollback.rollback(RollbackRequest(site=site_name, release=RELEASE, approve="any"))
    # No finish: the release that serves is one, and what was replaced stays beside for once.
    assert done == ["announce", "put_back", "gate_on_host", "gate_outside", "watch", "confirm"]
    assert (report.diff, report.data_of) == ("-a", RELEASE)


def test_a_release_is_brought_as_a_rollout_would(done: list[str], site_name: str) -> None:
    request = RollbackRequest(site=site_name, release=RELEASE, approve="any")
    state = rollback.rollback(request, return_state=True)
    assert state.is_completed(), state.message
    assert done == [
        "look", "look", "announce", "bring", "replace_data", "start",
        "gate_on_host", "gate_outside", "watch", "finish", "confirm",
    ]  # fmt: skip


def test_a_red_gate_brings_the_present_back(
    done: list[str], site_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def red(*_: Any) -> None:
        raise GateFailed("headscale does not answer.")

    monkeypatch.setattr(rollback.rollout, "gate_on_host", red)
    request = RollbackRequest(site=site_name, release=RELEASE, approve="any")
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
    request = RollbackRequest(site=site_name, release=RELEASE, approve="any")
    state = rollback.rollback(request, return_state=True)
    assert (state.name, done) == ("BadInput", ["look", "look"])
