"""A rollout that can't go on puts back what it can, and says what it could not."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from flows import rollout
from infra.errors import CouldNotRun, GateFailed, LockLost, Unreachable
from infra.model.request import RolloutRequest
from infra.model.stack import (
    Applied,
    Check,
    PutBack,
    RolloutPlan,
    RolloutReport,
    StackPlan,
    StartStack,
)
from infra.planning.retired import plan_retired
from infra.rollout.report import markdown
from tasks.site import OpenSite
from tests.unit.test_admission import seen

OPENED: Any = SimpleNamespace(settings=None, site=SimpleNamespace(name="cronova.dev"))
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

    names = {"write_files", "start", "finish"}
    applied = Applied(item="x", summary="x", seconds=0)
    calm = Check(name="x", found="x", seconds=0)
    steps = {name: step(name, applied) for name in names}
    steps |= {"put_back": step("put_back", PutBack()), "gate_on_host": step("gate", ())}
    monkeypatch.setattr(
        rollout,
        "steps",
        SimpleNamespace(
            **steps, have_room=lambda *_: None, watch=step("watch", calm), gate_outside=red
        ),
    )
    monkeypatch.setattr(rollout, "plan_all", planned)
    monkeypatch.setattr(rollout, "locked", lambda opened, *_: nullcontext(opened))

    state = rollout.rollout(RolloutRequest(site=site_name, approve="any"), return_state=True)

    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert str(state.message).startswith("No answer at https://hs.cronova.dev.\nFiles and images")
    brought = [
        f"{name} {stack}"
        for stack in ("headscale", "caddy")
        for name in ("write_files", "start", "gate")
    ]
    assert done == [*brought, "put_back caddy", "put_back headscale"]


class Changes:
    """The steps of a rollout that change a host: their names, and the lock that each was given."""

    def __init__(self, broken: str = "") -> None:
        self.done: list[tuple[str, str]] = []
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        def run(opened: OpenSite, *_: Any) -> Any:
            self.done.append((name, opened.lock_tokens.get("vps", "")))
            if name == self._broken:
                raise LockLost("vps: not done: it is now held by another.")
            if name == "watch":
                return Check(name="x", found="x", seconds=0)
            return () if name.startswith("gate") else Applied(item="x", summary="x", seconds=0)

        return run


def changed(monkeypatch: pytest.MonkeyPatch, site: str, broken: str = "") -> tuple[Any, Changes]:
    """How a rollout of one change ended, which holds the host's lock by the token `ours`."""
    steps = Changes(broken)
    monkeypatch.setattr(rollout, "steps", steps)
    monkeypatch.setattr(rollout, "plan_all", planned)
    monkeypatch.setattr(
        rollout,
        "locked",
        lambda opened, *_: nullcontext(opened._replace(lock_tokens={"vps": "ours"})),
    )
    request = RolloutRequest(site=site, stacks=("headscale",), approve="any")
    return rollout.rollout(request, return_state=True), steps


def test_each_change_is_made_by_the_right_of_the_runs_own_lock(
    monkeypatch: pytest.MonkeyPatch, site_name: str
) -> None:
    state, steps = changed(monkeypatch, site_name)
    assert state.is_completed(), state.message
    assert {"write_files", "start", "finish"} <= {name for name, _ in steps.done}
    assert {lock for _, lock in steps.done} == {"ours"}


def test_who_lost_the_lock_puts_nothing_back_and_leaves_a_report(
    monkeypatch: pytest.MonkeyPatch, site_name: str
) -> None:
    """The host is another run's by now."""
    reports: list[RolloutReport] = []
    monkeypatch.setattr(rollout, "publish_report", lambda *given: reports.append(given[-1]))
    state, steps = changed(monkeypatch, site_name, broken="start")
    assert "held by another" in str(state.message)
    assert [name for name, _ in steps.done] == ["have_room", "write_files", "start"]
    assert "held by another" in reports[0].failure


def test_what_the_site_no_longer_names_goes_when_all_gates_have_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def step(name: str, answer: Any = ()) -> Any:
        def run(*_: Any) -> Any:
            done.append(name)
            return answer

        return run

    seconds = Applied(item="status.containers", summary="take it down", seconds=0)
    fake = SimpleNamespace(
        gate_on_host=step("gate"),
        gate_outside=step("gate outside"),
        take_down=step("take down", [seconds]),
    )
    monkeypatch.setattr(rollout, "steps", fake)
    monkeypatch.setattr(rollout, "complete", lambda *given: given[-1])
    monkeypatch.setattr(rollout, "record_ids", lambda *_: None)
    stacks: Any = {"caddy": CADDY}
    plan = RolloutPlan(
        stacks={"caddy": StackPlan(target="vps.caddy")},
        retired={"vps": tuple(plan_retired("vps", ["caddy"], ["status"]))},
    )
    report: Any = rollout.carry_out(OPENED, stacks, plan, None)  # type: ignore[arg-type]
    assert done == ["gate", "gate outside", "take down"]
    assert report.applied == [seconds]


def test_a_stack_that_the_site_does_not_name_is_refused_with_those_that_it_does(
    site_name: str,
) -> None:
    """The form knows the stacks' names no better than the site file, which may change at any time."""
    request = RolloutRequest(site=site_name, stacks=("hullo",))
    state = rollout.rollout(request, return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "BadInput")
    assert "It names: headscale, caddy." in str(state.message)


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

    def put_back(_opened: Any, stack: Any) -> PutBack:
        if stack is CADDY:
            raise error
        back.append(stack.name)
        return PutBack()

    monkeypatch.setattr(rollout.steps, "put_back", put_back)
    progress = rollout.Progress(touched=[HEADSCALE, CADDY])  # type: ignore[list-item]
    (told,) = rollout.all_back(None, progress).problems  # type: ignore[arg-type]
    assert back == ["headscale"]
    assert told.startswith(f"caddy could not be put back: {error}")


def test_data_and_files_that_went_back_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    back = PutBack(data_of="20261127T093000Z", diff="-a\n+b")
    monkeypatch.setattr(rollout.steps, "put_back", lambda *_: back)
    progress = rollout.Progress(touched=[HEADSCALE])  # type: ignore[list-item]
    done = rollout.all_back(None, progress)  # type: ignore[arg-type]
    assert progress.diffs == {"headscale": "-a\n+b"}
    message, _ = rollout.told(GateFailed("The gate is red."), done)
    assert message.startswith("The gate is red.\nFiles and images are back as they were before.")
    assert "as of 20261127T093000Z: what came after that moment is lost" in message


def test_a_host_without_room_is_neither_sent_nor_written_anything(
    monkeypatch: pytest.MonkeyPatch, site_name: str
) -> None:
    def full(*_: Any) -> None:
        raise CouldNotRun("vps has 1 MB of disk left.")

    # Any other step would be an AttributeError, and end as another state.
    monkeypatch.setattr(rollout, "steps", SimpleNamespace(have_room=full))
    monkeypatch.setattr(rollout, "plan_all", planned)
    monkeypatch.setattr(rollout, "locked", lambda opened, *_: nullcontext(opened))
    state = rollout.rollout(RolloutRequest(site=site_name, approve="any"), return_state=True)
    assert (state.name, state.message) == ("CouldNotRun", "vps has 1 MB of disk left.")


def test_a_failed_rollouts_report_has_the_plan_and_the_reason() -> None:
    plan = planned(None, ("headscale",))
    report = RolloutReport(site="cronova.dev", plan=plan, failure="The gate is red.\n<b>log</b>")
    diff = "-image: a\n+image: b"
    text = markdown(report.model_copy(update={"diffs": {"headscale": diff}}))
    assert "The files of headscale that failed" in text
    assert "\n\n    -image: a\n    +image: b\n\n" in text
    assert "the rollout failed" in text
    assert "    The gate is red.\n    <b>log</b>\n" in text
    assert "start it" in text


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
