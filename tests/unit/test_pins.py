"""The record of image ids."""

from pathlib import Path

from infra.rollout.pins import UNKNOWN, record_ids, recorded_ids
from infra.settings import Settings


def test_a_later_rollout_does_not_forget_the_version_it_may_go_back_to(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    record_ids(settings, "cronova.test", {"headscale/headscale:0.29.2": "sha256:new"})
    record_ids(settings, "cronova.test", {"headscale/headscale:0.28.0": "sha256:old"})
    ids = recorded_ids(settings, "cronova.test", ["headscale/headscale:0.29.2", "caddy:9"])
    assert ids == {"headscale/headscale:0.29.2": "sha256:new", "caddy:9": UNKNOWN}
