"""Image and data go back together, on a real host: after a real migration, and by hand."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from flows import rollout
from infra.access.anchor import load_anchor
from infra.rollout.host_program.places import KEPT
from tests.integration.dying import roll_out_here
from tests.integration.rolling import HEADSCALE, roll_out, server_key, site_changed

RELEASES = "/var/lib/meshkeeper/releases/headscale"


def releases(lab: Lab, stack: str = "headscale") -> dict[str, Any]:
    return meshkeeper(lab.plan, "rollback", "--stack", stack)


def users(lab: Lab) -> set[str]:
    listed = lab.vps.check(
        "docker", "exec", "headscale", "headscale", "users", "list", "-o", "json"
    )
    return {user["name"] for user in json.loads(listed) or []}


def create_user(lab: Lab, name: str) -> None:
    lab.vps.check("docker", "exec", "headscale", "headscale", "users", "create", name)


@pytest.fixture
def without_guests(mesh: Lab) -> Iterator[None]:
    yield
    for name in users(mesh) & {"guest", "later"}:
        mesh.vps.check(
            "docker", "exec", "headscale", "headscale", "users", "destroy", "--name", name, "--force"
        )  # fmt: skip


def change(address: str) -> Any:
    def edit(values: dict[str, Any]) -> None:
        # Beside the lab's: clients find their server by what this says.
        values["stacks"]["headscale"]["nameservers"].append(address)

    return edit


def test_a_rollout_leaves_a_release_that_serves_and_no_mark(mesh: Lab) -> None:
    there = releases(mesh)
    assert there["current"] == there["releases"][-1]["id"]
    assert not there["unfinished"]
    assert "config/policy.hujson" in there["releases"][-1]["files"]
    assert mesh.vps.check("stat", "-c", "%a %U", RELEASES).split() == ["700", "root"]


def test_the_last_five_are_kept_beside_the_one_that_serves(mesh: Lab) -> None:
    """Caddy's, which is reloaded: to replace headscale as often takes minutes."""

    def edit(values: dict[str, Any]) -> None:
        values["stacks"]["caddy"]["email"] = f"admin@{mesh.site.domain}"

    first = releases(mesh, "caddy")["releases"][0]["id"]
    for _ in range(3):  # each there and back
        with site_changed(mesh, edit):
            roll_out(mesh)
    there = releases(mesh, "caddy")
    assert len(there["releases"]) == 1 + KEPT
    assert there["current"] == there["releases"][-1]["id"]
    assert first not in [release["id"] for release in there["releases"]]


def test_an_image_that_refuses_the_data_goes_back_with_them(
    mesh: Lab, without_guests: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.28 does not start on what 0.29 has touched. Nobody looked at the versions before."""
    create_user(mesh, "guest")
    before = releases(mesh)

    def older(values: dict[str, Any]) -> None:
        values["stacks"]["headscale"]["version"] = "0.28.0"

    with site_changed(mesh, older):
        monkeypatch.setattr(rollout, "upgrade_of", lambda *_: None)
        ended = roll_out_here(mesh.plan.site_file, patch=monkeypatch.setattr)
        message = str(ended.message)
        assert ended.name == "Failed"
        assert "Files and images are back" in message
        assert "The data of headscale are back as well, as of 20" in message
        assert "The last log lines of headscale" in message
        assert "guest" in users(mesh)
        assert server_key(mesh) == load_anchor(mesh.settings, mesh.site.name).server_key
        assert releases(mesh)["current"] == before["current"]
        left = mesh.vps.run("docker", "image", "inspect", "headscale/headscale:0.28.0")
        assert left.status != 0, "an image that no release needs goes"
    assert not meshkeeper(mesh.plan, "plan", "--check")["changes"]


def test_going_back_wants_a_yes_tells_what_it_does_and_goes(mesh: Lab) -> None:
    with site_changed(mesh, change("192.0.2.9")):
        before = releases(mesh)["current"]
        roll_out(mesh)
        answer, status = ask_meshkeeper(mesh.plan, "rollback", "--to", before)
        assert status == 2
        assert "Add --yes" in answer["hint"]
        plan = meshkeeper(mesh.plan, "rollback", "--to", before, "--yes")["report"]["plan"]
        assert f"bring the files and images of {before}" in plan["changes"][0]["summary"]
        config = mesh.vps.check("cat", f"{HEADSCALE}/config/config.yaml")
        assert "192.0.2.9" not in config
        assert server_key(mesh) == load_anchor(mesh.settings, mesh.site.name).server_key
        plan, status = ask_meshkeeper(mesh.plan, "plan", "--check")
        assert (status, plan["changes"]) == (4, True)


def test_an_unknown_release_is_bad_input(mesh: Lab) -> None:
    answer, status = ask_meshkeeper(mesh.plan, "rollback", "--to", "20200101T000000Z", "--yes")
    assert status == 2
    assert "has no release" in answer["message"]
