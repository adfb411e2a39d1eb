"""A rollout that would change something waits for a person's yes, and to nothing else."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import copy_context
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL

from deployments.embedded.api import Api, Json
from flows import approval, rollout
from infra.errors import BadInput
from infra.model.approval import SHORT, Answer
from infra.model.request import RolloutRequest
from infra.model.stack import RolloutPlan, RolloutReport, StackPlan, StartStack


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "POLL", 0.1)


@pytest.fixture
def api() -> Api:
    return Api(str(PREFECT_API_URL.value()))


def plan(why: str) -> RolloutPlan:
    start = StartStack(
        item="caddy.containers",
        summary=f"start caddy: {why}",
        interrupts="Open connections break once.",
        containers=("caddy",),
    )
    return RolloutPlan(stacks={"caddy": StackPlan(target="vps.caddy", changes=(start,))})


FIRST, SECOND = plan("it is missing"), plan("it runs another image")
EMPTY = RolloutPlan(stacks={"caddy": StackPlan(target="vps.caddy")})


class Host:
    """What each look at the host plans (the last for ever), and what was carried out."""

    def __init__(self, *plans: RolloutPlan) -> None:
        self._plans = list(plans)
        self.done: list[RolloutPlan] = []

    def look(self, *_: Any) -> RolloutPlan:
        return self._plans.pop(0) if len(self._plans) > 1 else self._plans[0]

    def carry_out(self, opened: Any, _stacks: Any, planned: RolloutPlan, yes: Any) -> RolloutReport:
        self.done.append(planned)
        return RolloutReport(site=opened.site.name, plan=planned, approval=yes)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Host], Host]:
    def use(host: Host) -> Host:
        monkeypatch.setattr(rollout, "plan_all", host.look)
        monkeypatch.setattr(rollout, "carry_out", host.carry_out)
        monkeypatch.setattr(rollout, "locked", lambda opened, *_: nullcontext(opened))
        return host

    return use


class Run:
    """A rollout in a thread of its own, and a person who looks at it."""

    def __init__(self, api: Api, request: RolloutRequest) -> None:
        self._api, self._ended = api, threading.Event()
        self._known = {run["id"] for run in api.runs()}
        # The test server's settings are the context's.
        inside = copy_context()
        self._thread = threading.Thread(target=inside.run, args=(self._run, request))
        self._thread.start()

    def _run(self, request: RolloutRequest) -> None:
        self.state = rollout.rollout(request, return_state=True)

    def waiting(self) -> Json:
        """The run, as soon as it waits."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for run in self._api.waiting():
                if run["id"] not in self._known:
                    return run
            time.sleep(0.1)
        raise AssertionError("it does not wait")

    def end(self) -> Any:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.state


@pytest.fixture
def started(api: Api, site_name: str) -> Callable[[], Run]:
    return lambda: Run(api, RolloutRequest(site=site_name))


def yes(planned: RolloutPlan, name: str = "Ada") -> Json:
    return Answer(answer="yes", name=name, plan=planned.digest[:SHORT]).model_dump()


def test_a_yes_lets_the_plan_that_was_shown_be_carried_out(
    api: Api, on: Any, started: Callable[[], Run]
) -> None:
    host, run = on(Host(FIRST)), started()
    waiting = run.waiting()
    shown, _ = api.question(waiting)
    assert all(f"    {line}" in shown for line in FIRST.describe().splitlines())
    assert FIRST.digest[:SHORT] in shown
    assert host.done == []
    assert api.resume(waiting["id"], yes(FIRST))
    report = run.end().result()
    assert host.done == [FIRST]
    assert (report.approval.by, report.approval.plan) == ("Ada", FIRST.digest)


def test_a_no_touches_nothing_and_says_who_said_it(
    api: Api, on: Any, started: Callable[[], Run]
) -> None:
    host, run = on(Host(FIRST)), started()
    assert api.resume(run.waiting()["id"], yes(FIRST) | {"answer": "no"})
    state = run.end()
    assert (state.type.value, state.name) == ("CANCELLED", "NotApproved")
    assert state.message == f"Ada said no to plan {FIRST.digest[:SHORT]}. Nothing was touched."
    assert host.done == []


def test_an_approved_plan_that_no_longer_fits_the_host_is_asked_for_anew(
    api: Api, on: Any, started: Callable[[], Run]
) -> None:
    host, run = on(Host(FIRST, SECOND)), started()
    first = run.waiting()
    assert api.resume(first["id"], yes(FIRST))
    while (second := run.waiting())["state"]["id"] == first["state"]["id"]:
        time.sleep(0.1)
    shown, _ = api.question(second)
    assert "The approved plan no longer fits the host." in shown
    with pytest.raises(BadInput, match="refused the answer"):
        api.resume(second["id"], yes(FIRST))  # from a page that was left open
    assert host.done == []
    assert api.resume(second["id"], yes(SECOND, "Grace"))
    assert run.end().result().approval.by == "Grace"
    assert host.done == [SECOND]


def test_a_host_that_came_in_order_meanwhile_needs_no_second_yes(
    api: Api, on: Any, started: Callable[[], Run]
) -> None:
    host, run = on(Host(FIRST, EMPTY)), started()
    assert api.resume(run.waiting()["id"], yes(FIRST))
    assert run.end().name == "Completed"
    assert host.done == [EMPTY]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"answer": "yes", "name": "", "plan": FIRST.digest[:SHORT]},
        {"answer": "maybe", "name": "Ada", "plan": FIRST.digest[:SHORT]},
        {"answer": "yes", "name": "A" * 81, "plan": FIRST.digest[:SHORT]},
        {"answer": "yes", "name": "Ada"},
    ],
)
def test_an_answer_that_does_not_fit_the_form_is_refused_and_the_run_waits_on(
    api: Api, on: Any, started: Callable[[], Run], answer: Json
) -> None:
    on(Host(FIRST))
    run = started()
    waiting = run.waiting()
    with pytest.raises(BadInput, match="refused the answer"):
        api.resume(waiting["id"], answer)
    assert run.waiting()["id"] == waiting["id"]
    api.resume(waiting["id"], yes(FIRST))
    assert run.end().name == "Completed"


def test_nobody_says_yes_in_time(
    monkeypatch: pytest.MonkeyPatch, on: Any, started: Callable[[], Run]
) -> None:
    monkeypatch.setattr(approval, "LONGEST", timedelta(seconds=1))
    host, state = on(Host(FIRST)), started().end()
    assert (state.type.value, state.name) == ("CANCELLED", "NotApproved")
    assert state.message == "Nobody said yes within 1 s. Nothing was touched."
    assert host.done == []


@pytest.mark.parametrize(
    "state",
    [{"type": "CANCELLED"}, {"type": "RUNNING"}],
)
def test_a_run_whose_state_is_changed_without_an_answer_touches_nothing(
    api: Api, on: Any, started: Callable[[], Run], state: Json
) -> None:
    host, run = on(Host(FIRST)), started()
    waiting = run.waiting()
    api.set_state(waiting["id"], state)
    run.end()
    assert api.run(waiting["id"])["state"]["name"] == "NotApproved"
    assert host.done == []


@pytest.mark.parametrize(("planned", "approve"), [(EMPTY, "ask"), (FIRST, "any")])
def test_no_change_and_an_explicit_wish_ask_nobody(
    on: Any, site_name: str, planned: RolloutPlan, approve: Any
) -> None:
    host = on(Host(planned))
    report = rollout.rollout(RolloutRequest(site=site_name, approve=approve))
    assert host.done == [planned]
    assert report.approval is None


def test_a_run_that_a_schedule_started_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheduled in (True, False):
        monkeypatch.setattr(
            approval, "_this_run", lambda each=scheduled: SimpleNamespace(auto_scheduled=each)
        )
        request = RolloutRequest(site="cronova.dev")
        assert approval.asks(request, FIRST, None) is not scheduled
