"""Planner cases: in which order stacks are rolled out."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.errors import BadInput
from infra.planning.order import rollout_order

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/order/stacks.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "-"))
def test_in_the_order_of_a_rollout(case: dict[str, Any]) -> None:
    if "order" in case:
        assert list(rollout_order(case["needs"])) == case["order"]
        return
    with pytest.raises(BadInput) as refused:
        rollout_order(case["needs"])
    assert f"stacks {case['circle']}:" in refused.value.message
