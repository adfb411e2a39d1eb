"""What one look at a host says, together with what this machine knows of its site."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from infra.access.anchor import save_anchor
from infra.model.anchor import Anchor
from infra.model.observation import StackState
from infra.model.rehearsal import Upgrade
from infra.rollout.outlook import upgrade_of
from infra.settings import Settings
from tests.unit.test_stack_plan import SITE, STACKS


def test_what_a_first_rollout_left_whose_gate_was_red_needs_no_rehearsal(tmp_path: Path) -> None:
    """It could have none: a canary is enrolled once a server has served. Else no second could begin."""
    settings = Settings(state_dir=tmp_path)
    taken_down = StackState(project="headscale", files={}, containers={})
    seen: Any = SimpleNamespace(stacks={"headscale": taken_down}, mesh=SimpleNamespace())
    assert upgrade_of(settings, SITE, STACKS, seen) is None
    save_anchor(settings, SITE.name, Anchor(server_key="mkey:1"))
    version = SITE.stacks.headscale.version
    assert upgrade_of(settings, SITE, STACKS, seen) == Upgrade(running=None, wanted=version)
