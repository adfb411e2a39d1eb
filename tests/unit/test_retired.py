"""What runs on a host although the site file no longer names it there."""

from infra.model.stack import RolloutPlan, TakeDown
from infra.planning.retired import plan_retired
from infra.rollout import compose


def test_a_stack_that_is_no_longer_named_is_to_be_taken_down() -> None:
    (plan,) = plan_retired("vps", ["headscale", "caddy"], ["caddy", "headscale", "status"])
    (change,) = plan.changes
    assert plan.target == "vps.status"
    assert isinstance(change, TakeDown)
    assert "its folder and its data stay" in change.summary
    rollout = RolloutPlan(stacks={}, retired={"vps": (plan,)})
    assert not rollout.empty
    assert "take down status" in rollout.describe()


def test_a_name_that_is_none_is_no_word_of_a_command() -> None:
    names = ["--file=/etc/shadow", "a b", "", "Ä", "x" * 64, "a\n", "$(reboot)"]
    assert list(plan_retired("vps", [], names)) == []


def test_nothing_but_its_name_is_needed_and_no_volume_goes() -> None:
    command = compose.down_project("status")
    assert command == "docker compose --project-name status down"
