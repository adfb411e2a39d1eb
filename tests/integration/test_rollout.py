"""A rollout on a real host: what it leaves alone, what it brings back, what the mesh then has."""

import base64
import json
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

import pytest
from fabric import Connection

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from deployments.lab.witnesses import requests
from infra.access.anchor import anchor_path, canary_state_path, load_anchor, save_anchor
from infra.access.login import admin_login
from infra.access.ssh import connect
from infra.errors import GateFailed
from infra.host.observe import observe
from infra.images.platforms import own
from infra.mesh.headscale import list_nodes, list_users, parse_nodes, parse_users
from infra.model.stack import CANARY_TAG, PENDING
from infra.rollout import apply, outside_gate
from infra.rollout.identity import pin
from infra.rollout.outlook import plans, query, wanted_stacks
from infra.rollout.pins import recorded_ids
from infra.site_file import load_site
from tasks.rollout import gate_outside
from tasks.site import OpenSite
from tests.integration.dying import roll_out_here, succeeded
from tests.integration.rolling import (
    HEADSCALE,
    keys_on_host,
    kinds,
    roll_out,
    server_key,
    site_changed,
)

#: A page that is no relay map: such a configuration is valid, and headscale can't start with it.
NO_MAP = "https://derpmap.lab.test/elsewhere"


def headscale_settings(values: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = values["stacks"]["headscale"]
    return settings


def break_headscale(values: dict[str, Any]) -> None:
    headscale_settings(values)["derp"] = {"maps": [NO_MAP]}


def files_on_host(lab: Lab) -> str:
    """All files that a rollout may write, by content."""
    find = f"find {HEADSCALE} -path {HEADSCALE}/data -prune -o -type f -exec sha256sum {{}} +"
    return "\n".join(sorted(lab.vps.check("sh", "-c", find).splitlines()))


def test_a_second_rollout_plans_nothing(mesh: Lab) -> None:
    report = roll_out(mesh)
    assert kinds(report) == []
    assert report["applied"] == []


def test_a_rollout_with_nothing_to_do_logs_in_once(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look, each stack's gate and the server's identity: a second each from across an ocean."""
    logins, log_in = [], Connection.open

    def counted(connection: Connection) -> Any:
        logins.append(connection.host)
        return log_in(connection)

    monkeypatch.setattr(Connection, "open", counted)
    report = succeeded(roll_out_here(mesh.plan.site_file, patch=monkeypatch.setattr))
    assert report.plan.empty
    assert {"headscale", "caddy"} <= {check.name.split()[0] for check in report.checks}
    assert len(logins) == 1


def test_the_server_answers_outside_by_its_name_only(mesh: Lab) -> None:
    refused = mesh.observer.run(
        "curl", "-sS", "-m", "5", f"http://{mesh.plan.place('vps')}:8080/health"
    )
    assert refused.status != 0
    assert server_key(mesh) == load_anchor(mesh.settings, mesh.site.name).server_key


def test_a_configuration_that_cannot_serve_is_put_back(mesh: Lab) -> None:
    files, keys = files_on_host(mesh), keys_on_host(mesh)
    health = f"{mesh.site.server_url}/health"
    with requests(mesh, health) as asked, site_changed(mesh, break_headscale):
        answer, status = ask_meshkeeper(mesh.plan, "rollout", "--yes")
        assert status == 1, answer
        assert "headscale" in answer["message"]
        assert "getting DERPMap" in answer["message"], "the last log lines tell why"
        assert "back as they were" in answer["message"]
        assert files_on_host(mesh) == files
        assert server_key(mesh) == load_anchor(mesh.settings, mesh.site.name).server_key
    assert keys_on_host(mesh) == keys
    assert asked.failed == {}


def test_a_site_that_the_host_has_no_memory_for_is_refused_with_numbers(mesh: Lab) -> None:
    def edit(values: dict[str, Any]) -> None:
        headscale_settings(values)["memory_mb"] = 4096

    containers, files = mesh.vps.check("docker", "ps", "--all", "--quiet"), files_on_host(mesh)
    with site_changed(mesh, edit):
        assert ask_meshkeeper(mesh.plan, "plan")[1] == 2
        answer, status = ask_meshkeeper(mesh.plan, "rollout", "--yes")
        assert status == 2, answer
        assert re.search(r"\d{4} MiB of \d+ MiB", answer["message"])
        assert "stacks.headscale.memory_mb (4096 MiB)" in answer["message"]
        assert mesh.vps.check("docker", "ps", "--all", "--quiet") == containers
        assert files_on_host(mesh) == files


def test_a_caddy_that_cannot_serve_is_put_back(mesh: Lab) -> None:
    """It gets less memory than it needs: the engine ends it again and again."""

    def starve(values: dict[str, Any]) -> None:
        values["stacks"]["caddy"]["memory_mb"] = 16

    with site_changed(mesh, starve):
        answer, status = ask_meshkeeper(mesh.plan, "rollout", "--yes")
        assert status == 1, answer
        assert "The container caddy ends again and again" in answer["message"]
        assert "Files and images are back" in answer["message"]
        assert server_key(mesh) == load_anchor(mesh.settings, mesh.site.name).server_key


def test_a_red_gate_from_outside_shows_what_caddy_said_last(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_gate, "PATIENCE", 1)
    nobody = mesh.site.network.model_copy(update={"resolver": IPv4Address("127.0.0.9")})
    elsewhere = OpenSite(mesh.site.model_copy(update={"network": nobody}), mesh.settings)
    with pytest.raises(GateFailed) as red:
        gate_outside.fn(elsewhere, ("headscale", "caddy"))
    assert "The DNS server 127.0.0.9 does not answer" in red.value.message
    said = red.value.message.partition("The last log lines of caddy:\n")[2]
    assert '"level"' in said


def test_a_rollout_cut_off_before_the_start_is_noticed_by_the_next(mesh: Lab) -> None:
    def edit(values: dict[str, Any]) -> None:
        headscale_settings(values)["nameservers"].append("192.0.2.1")

    with site_changed(mesh, edit):
        write_and_die(mesh)
        seen, _ = ask_meshkeeper(mesh.plan, "plan")
        assert "headscale runs with another configuration" in json.dumps(seen)
        report = roll_out(mesh)
        assert kinds(report) == ["headscale.start"]


def write_and_die(lab: Lab) -> None:
    """What a rollout has done when it is killed after writing the files."""
    site = load_site(lab.plan.site_file)
    stacks = wanted_stacks(lab.settings, site, ("headscale",))
    images = {image for stack in stacks.values() for image in stack.images}
    with connect(admin_login(lab.settings, site, "vps")) as session:
        seen = observe(session, query(site, "vps", stacks))
        ids = recorded_ids(lab.settings, site.name, images, own())
        apply.write(session, stacks["headscale"], plans(stacks, ids, ids, seen)["headscale"])
    lab.vps.check("test", "-e", f"{HEADSCALE}/{PENDING}")


def test_a_cut_off_rollout_that_turns_red_comes_back_to_what_served(mesh: Lab) -> None:
    """What was kept is the state before the first of the two, not the half of it."""
    files = files_on_host(mesh)
    with site_changed(mesh, break_headscale):
        write_and_die(mesh)
        answer, status = ask_meshkeeper(mesh.plan, "rollout", "--yes")
        assert status == 1, answer
        assert files_on_host(mesh) == files
        assert server_key(mesh)


def test_users_of_the_site_file_exist_and_a_new_one_is_created(
    mesh: Lab, without_family: None
) -> None:
    def edit(values: dict[str, Any]) -> None:
        headscale_settings(values)["users"].append("family")

    with site_changed(mesh, edit):
        answer, status = ask_meshkeeper(mesh.plan, "plan", "--check")
        changes = [change["summary"] for plan in answer["plans"] for change in plan["changes"]]
        assert (status, changes) == (4, ["create user family"])
        report = roll_out(mesh)
        assert (report["users_created"], report["applied"]) == (["family"], [])
    users = parse_users(mesh.vps.check("docker", "exec", "headscale", *list_users()).encode())
    assert {*mesh.site.stacks.headscale.users, "family"} <= {user.name for user in users}


@pytest.fixture
def without_family(mesh: Lab) -> Iterator[None]:
    """A rollout removes nobody, so the test does it."""
    yield
    mesh.vps.check(
        "docker", "exec", "headscale", "headscale", "users", "destroy", "--name", "family", "--force"
    )  # fmt: skip


def test_the_canary_is_enrolled_and_its_state_is_private(mesh: Lab) -> None:
    canary = load_anchor(mesh.settings, mesh.site.name).canary
    nodes = parse_nodes(mesh.vps.check("docker", "exec", "headscale", *list_nodes()).encode())
    tagged = [node for node in nodes if CANARY_TAG in node.tags]
    assert canary is not None
    assert [(node.name, node.addresses[0]) for node in tagged] == [
        (canary.node_name, canary.address)
    ]
    state = canary_state_path(mesh.settings, mesh.site.name)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert b"_machinekey" in state.read_bytes()
    # The server hands out the packet filter, and may be an attacker's: the canary takes nothing in.
    kept = json.loads(state.read_bytes())
    profiles = [value for name, value in kept.items() if name.startswith("profile-")]
    assert [json.loads(base64.b64decode(profile))["ShieldsUp"] for profile in profiles] == [True]


def test_a_canary_whose_state_is_lost_is_planned_and_enrolled_anew(mesh: Lab) -> None:
    canary_state_path(mesh.settings, mesh.site.name).unlink()
    answer, status = ask_meshkeeper(mesh.plan, "plan", "--check")
    assert status == 4
    assert "this machine does not have its state" in json.dumps(answer)
    assert roll_out(mesh)["canary_enrolled"]
    assert not meshkeeper(mesh.plan, "plan")["changes"]


def test_an_enrolment_leaves_no_container_and_no_key_behind(mesh: Lab) -> None:
    left = [
        c.name
        for c in mesh.engine.containers.list(all=True, ignore_removed=True)
        if "mk-canary" in str(c.name)
    ]
    assert left == []
    home = anchor_path(mesh.settings, mesh.site.name).parent
    assert list(home.glob("mk-canary-*")) == []


def test_a_device_key_is_for_known_users_only(mesh: Lab) -> None:
    user = mesh.site.stacks.headscale.users[0]
    answer, status = ask_meshkeeper(mesh.plan, "device-key", user)
    assert (status, answer["key"].startswith("hskey-")) == (0, True)
    answer, status = ask_meshkeeper(mesh.plan, "device-key", "nobody")
    assert status == 2
    assert user in answer["hint"]


def test_another_server_than_the_pinned_one_is_refused(mesh: Lab) -> None:
    with pinned_otherwise(mesh, {"server_key": f"mkey:{'0' * 64}"}):
        answer, status = ask_meshkeeper(mesh.plan, "rollout", "--yes")
    assert status == 1
    assert "pinned" in answer["message"]
    assert "Put noise_private.key back" in answer["message"]


def test_another_relay_than_the_pinned_one_is_refused(mesh: Lab) -> None:
    stack = wanted_stacks(mesh.settings, mesh.site, ("headscale",))["headscale"]
    key = server_key(mesh)
    with (
        pinned_otherwise(mesh, {"derp_key": "0" * 64}),
        pytest.raises(GateFailed, match="relay shows the key"),
    ):
        pin(mesh.settings, mesh.site, key, stack)


@contextmanager
def pinned_otherwise(lab: Lab, pins: dict[str, str]) -> Iterator[None]:
    anchor = load_anchor(lab.settings, lab.site.name)
    save_anchor(lab.settings, lab.site.name, anchor.model_copy(update=pins))
    try:
        yield
    finally:
        save_anchor(lab.settings, lab.site.name, anchor)
