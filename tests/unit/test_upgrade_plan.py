"""Planner cases: each file in tests/cases/upgrade names what runs and what is wanted, and says
whether that is rehearsed, or refused and with which way to go."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.cli.schema import EXAMPLE
from infra.errors import BadInput
from infra.model.observation import ContainerState, StackState
from infra.model.site import Site
from infra.planning.upgrade import plan_upgrade, version_of, with_version
from infra.rollout.render import render_stacks
from infra.site_file import load_site

SITE = load_site(EXAMPLE)
CASES = sorted((Path(__file__).parents[1] / "cases/upgrade").glob("*.json"))


def observed(image: str | None) -> StackState:
    container = ContainerState(
        image=image or "",
        image_id="sha256:a",
        running=True,
        health="healthy",
        restart_count=0,
        config_hash="",
        mark="",
    )
    return StackState(
        project="headscale", files={}, containers={"headscale": container} if image else {}
    )


def planned(case: dict[str, Any]) -> str | None:
    """What is to be rehearsed, as it is told; None: nothing."""
    upgrade = plan_upgrade(
        render_stacks(with_version(SITE, case["wanted"]))["headscale"],
        observed(case["running"]),
        has_data=case.get("has_data", True),
        known=case.get("known", ()),
    )
    return upgrade.describe() if upgrade else None


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_an_upgrade_with(path: Path) -> None:
    case = json.loads(path.read_text())
    if "refused" not in case:
        assert planned(case) == case["rehearsal"], case["because"]
        return
    with pytest.raises(BadInput) as refused:
        planned(case)
    assert case["refused"] in refused.value.message, case["because"]
    assert case["hint"] in refused.value.hint, case["because"]


@pytest.mark.parametrize("tag", ["", "latest", "0.29", "0.29.2-rc1", "v0.29.2", "٠.٢.٢", "9" * 9])
def test_what_is_no_version_is_none(tag: str) -> None:
    assert version_of(f"headscale/headscale:{tag}") is None


def test_a_site_with_another_version_differs_in_nothing_else() -> None:
    other = with_version(SITE, "0.28.0")
    assert other.stacks.headscale.version == "0.28.0"
    assert with_version(other, SITE.stacks.headscale.version) == SITE
    assert Site.model_validate(other.model_dump()) == other
