"""A rollout that skips minors goes through them one by one, and says how far it came."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.cli.schema import EXAMPLE
from flows import minors, rollout
from flows.minors import legs
from infra.errors import GateFailed, ImageUnavailable, MeshkeeperError, NotApproved, RehearsalFailed
from infra.model.observation import ContainerState, FileState, StackState
from infra.model.rehearsal import Upgrade
from infra.model.request import RolloutRequest
from infra.model.stack import PENDING, RolloutPlan, RolloutReport, StackPlan, StartStack
from infra.rollout.outlook import wanted_stacks
from infra.rollout.report import markdown
from infra.settings import Settings
from infra.site_file import load_site
from tasks import rollout as tasks
from tasks.site import OpenSite

WANTED = "0.29.2"


class Host:
    """A host's headscale, and what the flow did to it; `broken`: by version, what goes wrong."""

    def __init__(self, version: str, *, unfinished: bool = False) -> None:
        self.version, self.unfinished = version, unfinished
        self.done: list[str] = []
        self.broken: dict[str, MeshkeeperError] = {}

    def observe(self, *_: Any) -> Any:
        container = ContainerState(
            image=f"headscale/headscale:{self.version}",
            image_id="sha256:a",
            running=True,
            health="healthy",
            restart_count=0,
            config_hash="",
            mark="",
        )
        pending = {PENDING: FileState(sha256="0" * 64, mode=0o644)} if self.unfinished else {}
        state = StackState(project="headscale", files=pending, containers={"headscale": container})
        return SimpleNamespace(stacks={"headscale": state})

    def plan(self, opened: OpenSite, stacks: Any) -> RolloutPlan:
        wanted = opened.site.stacks.headscale.version
        start = StartStack(item="headscale.containers", summary=f"start {wanted}", containers=())
        same = wanted == self.version
        return RolloutPlan(
            stacks={name: StackPlan(target=name, changes=(start,)) for name in stacks},
            upgrade=None if same else Upgrade(running=self.version, wanted=wanted),
        )

    def rehearse(self, _opened: Any, _stack: Any, upgrade: Upgrade) -> None:
        self.done.append(f"rehearse {upgrade.running} → {upgrade.wanted}")

    def carry_out(
        self, opened: OpenSite, stacks: Any, planned: RolloutPlan, _: Any
    ) -> RolloutReport:
        wanted = opened.site.stacks.headscale.version
        if error := self.broken.get(wanted):
            raise error
        self.done.append(f"roll out {wanted}: {', '.join(stacks)}")
        self.version, self.unfinished = wanted, False
        return RolloutReport(site=opened.site.name, plan=planned)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """One whose headscale is two minors older than the site file's."""
    host = Host("0.27.1")
    known = {"0.27": "0.27.1", "0.28": "0.28.0"}
    steps = SimpleNamespace(observe_stacks=host.observe, find_patch=known.__getitem__)
    monkeypatch.setattr(minors, "steps", steps)
    monkeypatch.setattr(rollout, "plan_all", host.plan)
    monkeypatch.setattr(rollout, "rehearse", host.rehearse)
    monkeypatch.setattr(rollout, "carry_out", host.carry_out)
    monkeypatch.setattr(rollout, "locked", lambda opened, *_: nullcontext(opened))
    return host


def rolled_out(site: str, **wanted: Any) -> Any:
    request = RolloutRequest(site=site, **{"approve": "any", "through_minors": True, **wanted})
    return rollout.rollout(request, return_state=True)


def opened() -> OpenSite:
    return OpenSite(load_site(EXAMPLE), Settings())


def versions(**wanted: Any) -> list[str]:
    """Of the rollouts that would be made."""
    stacks = wanted_stacks(Settings(), opened().site, wanted.get("stacks", ()))
    return [leg.opened.site.stacks.headscale.version for leg in legs(opened(), stacks)]


def test_each_version_is_rehearsed_and_rolled_out_alone_before_all_that_was_asked_for(
    host: Host, site_name: str
) -> None:
    state = rolled_out(site_name)
    assert state.is_completed(), state.message
    assert host.done == [
        "rehearse 0.27.1 → 0.28.0",
        "roll out 0.28.0: headscale",
        "rehearse 0.28.0 → 0.29.2",
        "roll out 0.29.2: headscale, caddy",
    ]
    report = state.result()
    assert report.plan.way == ("0.27.1", "0.28.0", "0.29.2")
    assert "a rollout each: headscale 0.27.1 → 0.28.0 → 0.29.2" in markdown(report)


def test_each_version_is_approved_by_its_own_plan(
    host: Host, site_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def no_to_the_second(plan: RolloutPlan, *, again: bool) -> Any:
        asked.append(plan.describe())
        if len(asked) > 1:
            raise NotApproved("augusto said no to plan 1. Nothing was touched.")
        return SimpleNamespace(plan=plan.digest)

    monkeypatch.setattr(rollout, "ask", no_to_the_second)
    state = rolled_out(site_name, approve="ask")
    assert (state.type.value, state.name) == ("CANCELLED", "NotApproved")
    assert ["start 0.28.0" in asked[0], "start 0.29.2" in asked[1]] == [True, True]
    assert all("headscale 0.27.1 → 0.28.0 → 0.29.2" in plan for plan in asked)
    assert "went as far as 0.28.0; not done: 0.29.2." in state.message
    assert host.version == "0.28.0"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("0.28.0", "as far as 0.27.1; not done: 0.28.0, 0.29.2."),
        ("0.29.2", "as far as 0.28.0; not done: 0.29.2."),
    ],
)
def test_a_version_that_fails_ends_the_run_there_and_it_goes_on_from_there(
    host: Host, site_name: str, broken: str, told: str
) -> None:
    host.broken[broken] = GateFailed("The gate is red.\nFiles and images are back.", "Look.")
    state = rolled_out(site_name)
    assert state.name == "Failed"
    assert state.message.startswith(f"headscale {broken}: The gate is red.\n")
    assert told in state.message
    assert "Look. The same command goes on" in state.message
    reached, host.broken, host.done = host.version, {}, []
    assert rolled_out(site_name).is_completed()
    assert host.done[0].startswith(f"rehearse {reached} → {broken}")


def test_a_rehearsal_that_fails_says_so_and_touches_nothing_more(
    host: Host, site_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(*_: Any) -> None:
        raise RehearsalFailed("The rehearsal failed. The host was not touched.")

    monkeypatch.setattr(rollout, "rehearse", bad)
    state = rolled_out(site_name)
    assert (state.name, host.done) == ("Failed", [])
    assert "went as far as 0.27.1" in state.message


def test_one_that_was_cut_off_asks_its_own_gate_first(host: Host) -> None:
    host.version, host.unfinished = "0.28.0", True
    assert versions() == ["0.28.0", WANTED]
    host.version = "0.27.1"
    assert versions() == ["0.27.1", "0.28.0", WANTED]


@pytest.mark.parametrize("running", ["0.28.0", "0.29.1", WANTED, "0.30.0", "1.27.0", "latest"])
def test_a_single_step_is_the_rollout_that_it_always_was(host: Host, running: str) -> None:
    host.version, host.unfinished = running, running == WANTED
    assert versions() == [WANTED]


def test_a_rollout_without_headscale_has_no_way_to_go(host: Host) -> None:
    assert versions(stacks=("caddy",)) == [WANTED]


def test_where_no_index_answers_the_site_file_is_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> str:
        raise ImageUnavailable("could not ask: 403 Forbidden")

    monkeypatch.setattr(tasks.newest, "newest_patch", refused)
    with pytest.raises(ImageUnavailable) as unknown:
        tasks.find_patch.fn("0.26")
    assert "headscale 0.26 is the newest, nobody can tell: could not ask" in unknown.value.message
    assert "Write the newest 0.26.x at stacks.headscale.version" in unknown.value.hint
    assert tasks.find_patch.fn("0.28") == "0.28.0"  # of which there is a recipe: nobody is asked
