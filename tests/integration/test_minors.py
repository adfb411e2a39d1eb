"""A mesh of headscale 0.27.1 goes to 0.29.2 in one run, and everybody in it stays who they were."""

from collections.abc import Iterator

import pytest
import yaml
from docker import DockerClient

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper, meshkeeper
from deployments.lab.join import ping_over_mesh
from deployments.lab.plan import OLDER
from deployments.lab.steps import MainJob, run_steps
from deployments.lab.witnesses import device, requests
from flows import rollout
from infra.access.anchor import load_anchor, save_anchor
from infra.errors import GateFailed
from infra.mesh.headscale import list_nodes, parse_nodes
from tests.integration.dying import Steps, roll_out_here
from tests.integration.labs import booted
from tests.integration.rolling import keys_on_host, server_key

WAY = ["0.27.1", "0.28.0", "0.29.2"]
OLD, BETWEEN, NEW = WAY


@pytest.fixture(scope="module")
def older(engine: DockerClient) -> Iterator[Lab]:
    """A mesh that began with the oldest version, canary and both clients in it; the site file asks
    for the newest."""
    with booted(engine, OLDER) as lab:
        want(lab, OLD)
        run_steps(MainJob(engine, OLDER).mesh())
        want(lab, NEW)
        yield lab


def want(lab: Lab, version: str) -> None:
    values = yaml.safe_load(lab.plan.site_file.read_text())
    values["stacks"]["headscale"]["version"] = version
    lab.plan.site_file.write_text(yaml.safe_dump(values))


def running(lab: Lab) -> str:
    image = lab.vps.check("docker", "inspect", "--format", "{{.Config.Image}}", "headscale")
    return image.strip().rpartition(":")[2]


def members(lab: Lab) -> list[tuple[object, ...]]:
    """Who is in the mesh. To whom a tagged node belongs is a version's own matter."""
    nodes = parse_nodes(lab.vps.check("docker", "exec", "headscale", *list_nodes()).encode())
    return [(n.id, n.name, n.node_key, n.machine_key, n.addresses, n.tags) for n in nodes]


def test_a_skipped_minor_is_refused_with_the_way_and_the_plan_shows_all_else(older: Lab) -> None:
    plan, status = ask_meshkeeper(older.plan, "plan")
    assert status == 2
    assert f"The way is {' → '.join(WAY)}: `meshkeeper rollout --through-minors`" in plan["hint"]
    assert "headscale-backup runs with another configuration" in str(plan["plans"])
    answer, status = ask_meshkeeper(older.plan, "rollout", "--yes")
    assert (status, answer["state"]) == (2, "BadInput")
    assert "--through-minors" in answer["message"]
    assert running(older) == OLD


class RedFromOutside(Steps):
    """The steps of a rollout, of which the last gate finds what no rehearsal could know."""

    def gate_outside(self, *_: object) -> None:
        raise GateFailed("No answer from outside.")


def test_a_rehearsal_that_fails_leaves_the_host_untouched(older: Lab) -> None:
    """Pinned is another server than the one whose data are rehearsed."""
    anchor = load_anchor(older.settings, older.site.name)
    there, containers = members(older), older.vps.check("docker", "ps", "--all", "--quiet")
    meshkeeper(older.plan, "backup")
    want(older, BETWEEN)
    try:
        stranger = anchor.model_copy(update={"server_key": f"mkey:{'0' * 64}"})
        save_anchor(older.settings, older.site.name, stranger)
        answer, status = ask_meshkeeper(older.plan, "rollout", "--yes")
    finally:
        save_anchor(older.settings, older.site.name, anchor)
    assert status == 1, answer
    assert f"Stay with it: write {OLD}" in answer["message"], answer
    assert older.vps.check("docker", "ps", "--all", "--quiet") == containers
    assert members(older) == there


def test_a_red_gate_after_a_real_migration_brings_version_and_data_back_and_clients_stay(
    older: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, keys = members(older), keys_on_host(older)
    monkeypatch.setattr(rollout, "rehearse", lambda *_: None)
    want(older, BETWEEN)
    with requests(older, f"{older.site.server_url}/health") as asked, device(older) as client:
        ended = roll_out_here(older.plan.site_file, RedFromOutside(), monkeypatch.setattr)
    message = str(ended.message)
    assert message.startswith("No answer from outside.\nFiles and images are back")
    assert "The data of headscale are back as well, as of 20" in message
    assert running(older) == OLD
    assert (members(older), keys_on_host(older)) == (there, keys)
    assert asked.failed == {}
    assert set(client.states) == {"Running"}
    want(older, NEW)


def test_one_run_goes_through_each_minor_and_everybody_stays_who_they_were(older: Lab) -> None:
    there, keys, key = members(older), keys_on_host(older), server_key(older)
    anchor = load_anchor(older.settings, older.site.name)
    assert {"client-a", "client-b"} <= {name for _, name, *_ in there}
    assert anchor.canary is not None
    assert anchor.canary.node_key in {node_key for _, _, node_key, *_ in there}

    answer, status = ask_meshkeeper(older.plan, "rollout", "--yes", "--through-minors")

    assert status == 0, answer
    report = answer["report"]
    assert report["plan"]["way"] == WAY
    assert report["plan"]["upgrade"] == {"running": BETWEEN, "wanted": NEW}
    assert not report["canary_enrolled"]
    assert running(older) == NEW
    assert members(older) == there
    assert keys_on_host(older) == keys
    assert server_key(older) == key == anchor.server_key
    ping_over_mesh(older)


def test_each_version_left_a_release_with_the_data_from_before_it(older: Lab) -> None:
    releases = meshkeeper(older.plan, "rollback")["releases"]
    before = [release["before"]["image"] for release in releases if release["before"]]
    assert before == [f"headscale/headscale:{version}" for version in (OLD, BETWEEN)]


def test_nothing_is_left_to_do(older: Lab) -> None:
    assert not meshkeeper(older.plan, "plan", "--check")["changes"]
