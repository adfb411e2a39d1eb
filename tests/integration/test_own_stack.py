"""A user adds a tiny web service by following docs/stacks.md, and takes it away again."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper
from deployments.lab.witnesses import requests
from tests.following import add_the_stack_of_the_page
from tests.integration.rolling import kinds, roll_out, server_key

FOLDER = "/home/linuxuser/docker/vps/own/status"
COMMAND = 'command: [python, -m, http.server, "8000", --directory, /www]'
#: Commands with which the page does not serve, and what is said of it.
FAULTS = {
    # It serves at first, and is green for every question that is asked once.
    'command: [timeout, "4", python, -m, http.server, "8000", --directory, /www]': (
        "ended and was started again"
    ),
    # More memory than its limit.
    "command: [python, -c, 'held = b\"x\" * (300 << 20)']": "ends again and again",
}


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
        write(mesh, with_status)
        for command, told in FAULTS.items():
            with edited(mesh, "docker-compose.yml", COMMAND, command):
                answer, status = ask_meshkeeper(mesh.plan, "rollout", "--yes", "--stack", "status")
            assert status == 1, answer
            assert told in answer["message"]
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


def test_a_secret_reaches_its_container_and_no_output(
    mesh: Lab, with_status: dict[str, Any], secrets_file: Path
) -> None:
    reads_a_secret(mesh)
    with_status["stacks"]["status"]["secrets"] = {"api_token": {"secret": "status_token"}}
    write(mesh, with_status)
    before = secrets_file.read_text()
    first, second = "the-first-value-of-it", "the-second-value-of-it"

    secrets_file.write_text(f"{before}status_token: {first}\n")
    told = json.dumps(roll_out(mesh))
    assert token(mesh) == first
    assert mesh.vps.check("stat", "-c", "%a %U", f"{FOLDER}/secrets").strip() == "700 root"

    secrets_file.write_text(f"{before}status_token: {second}\n")
    planned, status = ask_meshkeeper(mesh.plan, "plan", "--check")
    assert status == 4
    report = roll_out(mesh)
    assert kinds(report) == ["status.write", "status.write", "status.start"]
    assert token(mesh) == second
    told += json.dumps(planned) + json.dumps(report)
    assert "secrets/api_token" in told
    assert [value for value in (first, second) if value in told] == []


@pytest.fixture
def secrets_file(mesh: Lab) -> Iterator[Path]:
    path = mesh.plan.state / "secrets.yaml"
    before = path.read_text()
    yield path
    path.write_text(before)


def token(lab: Lab) -> str:
    """As a user of the container reads it who is not root."""
    read = ("docker", "exec", "--user", "65534", "status", "cat", "/run/secrets/api_token")
    return lab.vps.check(*read)


def reads_a_secret(lab: Lab) -> None:
    secret = '"./secrets/api_token:/run/secrets/api_token:ro"'
    edit(lab, "stack.yaml", "{stacks: [headscale]}", "{stacks: [headscale], secrets: [api_token]}")
    edit(lab, "docker-compose.yml", '"./www:/www:ro"', f'"./www:/www:ro", {secret}')


@contextmanager
def edited(lab: Lab, name: str, usual: str, wanted: str) -> Iterator[None]:
    edit(lab, name, usual, wanted)
    try:
        yield
    finally:
        edit(lab, name, wanted, usual)


def edit(lab: Lab, name: str, usual: str, wanted: str) -> None:
    file = lab.plan.site_file.parent / "stacks/status" / name
    text = file.read_text()
    assert usual in text
    file.write_text(text.replace(usual, wanted))
