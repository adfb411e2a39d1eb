"""A user adds a tiny web service by following docs/stacks.md, and takes it away again."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper
from deployments.lab.witnesses import requests
from tests.following import add_the_stack_of_the_page
from tests.integration.rolling import kinds, roll_out, server_key

FOLDER = "/home/linuxuser/docker/vps/own/status"


@pytest.fixture
def with_status(mesh: Lab) -> Iterator[dict[str, Any]]:
    """The site file as the page has it; afterwards as it was, and nothing of the stack is left."""
    # The lab reads its site once, for all tests: it must be the usual one.
    assert "status" not in mesh.site.stacks.named
    before = mesh.plan.site_file.read_text()
    values = yaml.safe_load(before)
    values["stacks"] |= add_the_stack_of_the_page(mesh.plan.site_file)
    write(mesh, values)
    try:
        yield values
    finally:
        mesh.plan.site_file.write_text(before)
        roll_out(mesh)
        shutil.rmtree(mesh.plan.site_file.parent / "stacks")
        mesh.vps.check("rm", "-rf", FOLDER)


def write(lab: Lab, values: dict[str, Any]) -> None:
    lab.plan.site_file.write_text(yaml.safe_dump(values))


def page(lab: Lab) -> str:
    return lab.observer.check("curl", "-sS", "-m", "20", f"https://status.{lab.site.domain}/")


def test_a_stack_is_added_changed_refused_and_taken_away(
    mesh: Lab, with_status: dict[str, Any]
) -> None:
    key = server_key(mesh)
    with requests(mesh, f"{mesh.site.server_url}/health") as asked:
        done = kinds(roll_out(mesh))
        assert {"status.start", "caddy.write", "caddy.reload"} <= set(done)
        assert "headscale.start" not in done
        assert "All is well." in page(mesh)

        mine = with_status["stacks"]["status"]
        mine["values"]["greeting"] = "All is better."
        write(mesh, with_status)
        # The page, and the mark in the Compose file by which the container is made anew for it.
        assert kinds(roll_out(mesh)) == ["status.write", "status.write", "status.start"]
        assert "All is better." in page(mesh)

        mine["values"]["greeting"] = "All is over."
        ends_after_some_seconds(mesh)
        write(mesh, with_status)
        answer, status = ask_meshkeeper(mesh.plan, "rollout", "--yes", "--stack", "status")
        assert status == 1, answer
        assert "ended and was started again" in answer["message"]
        assert "All is better." in page(mesh)

        del with_status["stacks"]["status"]
        write(mesh, with_status)
        planned, status = ask_meshkeeper(mesh.plan, "plan", "--check")
        assert status == 4
        assert "take down status" in json.dumps(planned)
        assert any(done["item"] == "status.containers" for done in roll_out(mesh)["applied"])
    assert asked.failed == {}
    names = mesh.vps.check("docker", "ps", "-a", "--format", "{{.Names}}").split()
    assert sorted(names) == ["caddy", "headscale", "headscale-backup"]
    assert mesh.vps.run("test", "-e", f"{FOLDER}/www/index.html").status == 0
    assert server_key(mesh) == key


def ends_after_some_seconds(lab: Lab) -> None:
    """It serves at first, and is green for every question that is asked once."""
    compose = lab.plan.site_file.parent / "stacks/status/docker-compose.yml"
    text = compose.read_text()
    usual = 'command: [python, -m, http.server, "8000", --directory, /www]'
    assert usual in text
    dying = 'command: [timeout, "4", python, -m, http.server, "8000", --directory, /www]'
    compose.write_text(text.replace(usual, dying))
