"""The digest that two engines agree on, read from what a real one saves."""

import pytest
from docker import DockerClient

from infra.images import identity
from infra.images.ensure import ensure_image
from infra.rollout.render import SIDECAR_IMAGE


def test_what_an_engine_saves_names_the_same_configuration_as_its_id(
    engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an engine with the classic store, where the two are known to be equal."""
    expected = ensure_image(SIDECAR_IMAGE)
    assert identity.configuration_id(SIDECAR_IMAGE) == expected
    monkeypatch.setattr(identity, "_in_containerd", lambda: True)
    assert identity.configuration_id(SIDECAR_IMAGE) == expected
