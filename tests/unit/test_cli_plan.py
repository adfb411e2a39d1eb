"""`plan` shows what a rollout would refuse beside all that would change."""

import json
from pathlib import Path

import pytest

from deployments.cli import flow, plan
from deployments.cli.arguments import parse
from deployments.cli.main import main
from deployments.cli.schema import EXAMPLE
from infra.errors import BadInput
from infra.model.admission import Admission
from infra.model.plan import Change, Plan
from infra.model.request import RolloutRequest
from infra.site_file import load_site
from tests.unit.test_admission import seen

SKIPPED = BadInput("headscale 0.27.1 → 0.29.2 skips a minor version.", "Go through the minors.")
CHANGE = Change(item="headscale.containers", summary="start headscale: it runs another image")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Its host has a change to make, by way of a step that headscale can't take."""
    machine = seen({}).host.machine
    found = plan.Seen(
        [Plan(target="vps.headscale", changes=(CHANGE,))], Admission(), machine, 1, SKIPPED
    )
    monkeypatch.setattr(plan, "plan_target", lambda _: found)
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "state"))
    return str(EXAMPLE)


def test_a_refused_upgrade_hides_nothing_else(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--site", site]) == 2
    told = capsys.readouterr().out
    assert CHANGE.summary in told
    assert told.endswith(f"\n{SKIPPED}\n")


def test_a_program_finds_the_refusal_where_every_error_has_it(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--site", site, "--check", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["error"], told["hint"]) == ("BadInput", "Go through the minors.")
    assert told["changes"]
    assert told["plans"][0]["changes"]


@pytest.mark.parametrize("words", [[], ["--through-minors"]])
def test_the_way_through_the_minors_is_gone_only_where_it_is_asked_for(words: list[str]) -> None:
    site = load_site(EXAMPLE)
    request = flow._request(site, parse(["rollout", *words]))
    assert RolloutRequest.model_validate(request).through_minors == bool(words)
