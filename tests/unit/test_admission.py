"""Cases: each file in tests/cases/admission says what is wanted of a host, what it has, and whether
that fits. The usual host is a VPS of 1 GB that carries both stacks as they are by default."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.errors import BadInput
from infra.model.admission import MIB, Admission
from infra.model.observation import Observation
from infra.model.stack import RenderedStack, ShipImage, StackPlan, StartStack
from infra.planning.admission import admit, require_room
from infra.rollout.render import render_stacks
from tests.unit import test_audit
from tests.unit.test_stack_plan import SITE

CASES = sorted((Path(__file__).parents[1] / "cases/admission").glob("*.json"))
GIB = 1024 * MIB


def wanted(memory_mb: Mapping[str, int]) -> dict[str, RenderedStack]:
    site = SITE.model_dump()
    for name, limit in memory_mb.items():
        site["stacks"][name]["memory_mb"] = limit
    return render_stacks(SITE.model_validate(site))


def seen(case: dict[str, Any]) -> Observation:
    """A host with the case's memory (MiB in use, by containers too), swap, disk and data."""
    usual = {"ram": 966, "swap": 1024, "used": 200, "disk_free": 20_000, "virtualisation": "vm"}
    is_like = usual | case.get("host", {})
    data = test_audit.seen({}).model_dump()
    data["host"]["machine"] |= {
        "ram_bytes": is_like["ram"] * MIB,
        "disk_bytes": 32 * GIB,
        "disk_free_bytes": is_like["disk_free"] * MIB,
        "virtualisation": is_like["virtualisation"],
    }
    data["host"]["swaps"] = {"/swap.img": is_like["swap"] * MIB} if is_like["swap"] else {}
    containers = case.get("containers", {})
    data["memory"] = {
        "used_bytes": is_like["used"] * MIB,
        "containers": {name: used * MIB for name, used in containers.items()},
    }
    data["stacks"] = {
        name: {"project": name, "data_bytes": size * MIB, "files": {}, "containers": {}}
        for name, size in case.get("data", {}).items()
    }
    return Observation.model_validate(data)


def plan(case: dict[str, Any]) -> StackPlan:
    changes: list[ShipImage | StartStack] = [
        ShipImage(item="x.image", summary="send", image=name, image_id="sha256:1")
        for name in case.get("images", {})
    ]
    if case.get("starts", True):
        changes.append(StartStack(item="x.containers", summary="start", containers=("x",)))
    return StackPlan(target="vps.x", changes=tuple(changes))


def plans(case: dict[str, Any]) -> dict[str, StackPlan]:
    """The same for both stacks, so that an image is theirs in common."""
    return dict.fromkeys(("headscale", "caddy"), plan(case))


def admitted(case: dict[str, Any]) -> Admission:
    sizes = {name: size * MIB for name, size in case.get("images", {}).items()}
    return admit(wanted(case.get("memory_mb", {})), plans(case), seen(case), sizes)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_host(path: Path) -> None:
    case = json.loads(path.read_text())
    admission = admitted(case)
    told = {
        "refused": [room.describe().splitlines() for room in admission.refused],
        "tight": [room.describe().splitlines() for room in admission.tight],
    }
    assert told == {"refused": case.get("refused", []), "tight": case.get("tight", [])}, case[
        "because"
    ]
    if not admission.refused:
        require_room([admission])
        return
    with pytest.raises(BadInput) as refusal:
        require_room([admission])
    assert refusal.value.hint == case["advice"]
    assert refusal.value.message.splitlines() == [line for room in told["refused"] for line in room]


def test_a_host_without_stacks_has_room() -> None:
    assert admit({}, {}, seen({}), {}) == Admission()


def test_every_container_of_every_stack_has_a_limit() -> None:
    for stack in wanted({}).values():
        assert stack.memory.keys() == stack.containers.keys()
        assert min(stack.memory.values()) >= 32 * MIB
