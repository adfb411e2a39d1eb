"""The record of image ids."""

from pathlib import Path

from infra.images.platforms import own
from infra.rollout.pins import UNKNOWN, key_of, record_ids, record_unknown_ids, recorded_ids
from infra.settings import Settings


def test_a_later_rollout_does_not_forget_the_version_it_may_go_back_to(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    record_ids(settings, "cronova.test", {"headscale/headscale:0.29.2": "sha256:new"})
    record_ids(settings, "cronova.test", {"headscale/headscale:0.28.0": "sha256:old"})
    ids = recorded_ids(settings, "cronova.test", ["headscale/headscale:0.29.2", "caddy:9"], own())
    assert ids == {"headscale/headscale:0.29.2": "sha256:new", "caddy:9": UNKNOWN}


def test_the_same_image_for_another_processor_is_another(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    other = "arm64" if own() == "amd64" else "amd64"
    record_ids(settings, "cronova.test", {key_of("caddy:2", own()): "sha256:ours"})
    assert recorded_ids(settings, "cronova.test", ["caddy:2"], other) == {"caddy:2": UNKNOWN}
    record_ids(settings, "cronova.test", {key_of("caddy:2", other): "sha256:theirs"})
    assert recorded_ids(settings, "cronova.test", ["caddy:2"], own()) == {"caddy:2": "sha256:ours"}


def test_what_a_name_has_meant_stays_until_another_image_serves(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    for image_id in ("sha256:first", "sha256:moved"):
        record_unknown_ids(settings, "cronova.test", {"caddy:2": image_id}, own())
    assert recorded_ids(settings, "cronova.test", ["caddy:2"], own()) == {"caddy:2": "sha256:first"}
    record_ids(settings, "cronova.test", {"caddy:2": "sha256:moved"})
    assert recorded_ids(settings, "cronova.test", ["caddy:2"], own()) == {"caddy:2": "sha256:moved"}
