"""Planner cases: each file in tests/cases/stack changes a stack that is in order, and says what
the plan is then."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.model.observation import StackState
from infra.model.site import Site
from infra.model.stack import RenderedStack, StartStack
from infra.planning.stack import plan_stack, with_pins
from infra.rollout.render import render_stacks

CASES = sorted((Path(__file__).parents[1] / "cases/stack").glob("*.json"))
SITE = Site.model_validate(
    {
        "domain": "cronova.dev",
        "hosts": {"vps": {"address": "203.0.113.10", "admin_keys": ["ssh-ed25519 AAAA me"]}},
        "stacks": {
            "headscale": {"host": "vps", "base_domain": "mesh.cronova.dev"},
            "caddy": {"host": "vps"},
        },
        "backup": {"repository": "/srv/restic", "password": {"secret": "restic_password"}},
    }
)
STACKS = render_stacks(SITE)


def observed(wanted: RenderedStack, ids: dict[str, str], changed: dict[str, Any]) -> StackState:
    """The state in which nothing is to do, with the case's differences; an empty one replaces."""
    files: dict[str, Any] = {
        path: {"sha256": file.sha256, "mode": 0o644} for path, file in wanted.files.items()
    }
    containers: dict[str, Any] = {
        name: {
            "image_id": ids[image],
            "running": True,
            "health": "healthy",
            "restart_count": 0,
            "config_hash": "",
            "mark": wanted.containers[name],
        }
        for name, image in wanted.container_images.items()
    }
    return StackState(
        project=wanted.name,
        files=overlaid(files, changed.get("files")),
        containers=overlaid(containers, changed.get("containers")),
    )


def overlaid(usual: dict[str, Any], changed: dict[str, Any] | None) -> dict[str, Any]:
    if changed == {}:
        return {}
    for name, difference in (changed or {}).items():
        new = {"sha256": difference} if isinstance(difference, str) else difference
        usual[name] = usual.get(name, {"mode": 0o644}) | new
    return usual


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_for_a_stack_with(path: Path) -> None:
    case = json.loads(path.read_text())
    wanted = STACKS[case["stack"]]
    usual = {image: f"sha256:{image}" for image in wanted.images}
    ids = usual | case.get("images", {})
    there = usual | case["host_images"] if case.get("host_images") else case.get("host_images")
    state = observed(wanted, usual, case.get("state", {}))
    plan = plan_stack(wanted, ids, state, usual if there is None else there)
    assert [f"{c.item}: {c.summary}" for c in plan.changes] == case["plan"], case["because"]
    if "interrupts" in case:
        assert any(c.interrupts for c in plan.changes) is case["interrupts"], case["because"]
    if "migrates" in case:
        migrates = any(isinstance(c, StartStack) and c.migrates for c in plan.changes)
        assert migrates is case["migrates"], case["because"]


def test_there_are_cases_for_both_stacks() -> None:
    assert {json.loads(path.read_text())["stack"] for path in CASES} == set(STACKS)


def test_a_plan_holds_no_file_content() -> None:
    """It is shown in terminals, logs and the UI."""
    wanted = STACKS["headscale"]
    nothing = StackState(project="headscale", files={}, containers={})
    plan = plan_stack(wanted, dict.fromkeys(wanted.images, "sha256:a"), nothing, {})
    assert "private_key_path" not in plan.model_dump_json()
    assert "noise_private.key" not in plan.describe()


def test_a_name_that_means_another_image_than_before_is_told_to_the_approver() -> None:
    wanted = STACKS["caddy"]
    (caddy,) = wanted.images
    nothing = StackState(project="caddy", files={}, containers={})
    ids = {caddy: "sha256:now"}
    plan = plan_stack(wanted, ids, nothing, {})
    assert with_pins(plan, ids, ids) == plan
    told = with_pins(plan, ids, {caddy: "sha256:before"})
    assert "it was last rolled out: sha256:before then, sha256:now now" in told.describe()
    assert told.digest != plan.digest
