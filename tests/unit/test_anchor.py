"""What the control machine knows of a site: private, whole, and no change loses another."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.access.anchor import anchor_path, load_anchor, update_anchor
from infra.errors import CouldNotRun
from infra.model.anchor import Anchor, RolledOutPolicy
from infra.settings import Settings

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def with_policy(number: int, anchor: Anchor) -> Anchor:
    policy = RolledOutPolicy(sha256=f"{number:064x}", since=NOON + timedelta(minutes=number))
    return anchor.model_copy(update={"policies": (*anchor.policies, policy)})


def test_changes_of_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(update_anchor, settings, "a.test", lambda a, n=number: with_policy(n, a))
    assert len(load_anchor(settings, "a.test").policies) == 40


def test_a_damaged_anchor_is_never_taken_for_none(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    for content in ("", "{", '{"server_key": 7}'):
        anchor_path(settings, "a.test").write_text(content)
        with pytest.raises(CouldNotRun, match=r"anchor\.json is no anchor of this version"):
            load_anchor(settings, "a.test")


def test_nobody_else_can_look_into_the_state(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    update_anchor(settings, "a.test", lambda anchor: anchor)
    site = tmp_path / "state" / "sites" / "a.test"
    modes = [path.stat().st_mode & 0o777 for path in (site.parents[1], site.parent, site)]
    assert modes == [0o700] * 3
    assert (site / "anchor.json").stat().st_mode & 0o777 == 0o600
