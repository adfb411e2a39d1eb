"""Rollouts that bring what does not serve: it is put back, and people saw the old or the new.

Requests from the observer and traffic between two clients are counted during all of it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import meshkeeper
from deployments.lab.witnesses import device, requests
from tests.integration.dying import just_before, roll_out_here
from tests.integration.other_builds import NAME, other_builds
from tests.integration.rolling import data_on_host, site_changed

#: Seconds after which a server that was started, and has passed its gate, ends.
LATER = 10


@contextmanager
def nobody_notices(lab: Lab) -> Iterator[None]:
    """Every request is answered, both clients stay logged in, and nothing of the data is lost."""
    data = data_on_host(lab)
    with requests(lab, f"{lab.site.server_url}/health") as asked, device(lab) as client:
        yield
        assert data_on_host(lab) == data
    assert len(asked.answers) > 20
    assert asked.failed == {}
    assert set(client.states) == {"Running"}


def with_limit(megabytes: int) -> Any:
    def edit(values: dict[str, Any]) -> None:
        values["stacks"]["headscale"]["memory_mb"] = megabytes

    return edit


def test_an_image_that_ends_at_once_goes_back_with_the_data(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody_notices(mesh), other_builds(mesh, monkeypatch) as offer:
        offer("--no-such-option")
        ended = roll_out_here(mesh.plan.site_file, patch=monkeypatch.setattr)
        assert ended.name == "Failed", ended
        assert "The container headscale ends again and again" in ended.message
        assert "unknown flag: --no-such-option" in ended.message
        assert "Files and images are back" in ended.message
        assert mesh.vps.run("docker", "image", "inspect", NAME).status != 0
    assert not meshkeeper(mesh.plan, "plan")["changes"]


def test_a_server_that_ends_ten_seconds_after_its_gate_goes_back(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Timer(LATER, mesh.vps.run, ("pkill", "-KILL", "-x", "headscale"))
    with nobody_notices(mesh), site_changed(mesh, with_limit(240)):
        ended = roll_out_here(
            mesh.plan.site_file, just_before("watch", end.start), monkeypatch.setattr
        )
        assert ended.name == "Failed", ended
        assert "headscale ended and was started again" in ended.message
        assert "Files and images are back" in ended.message
