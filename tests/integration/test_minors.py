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
from infra.access.anchor import load_anchor
from infra.mesh.headscale import list_nodes, parse_nodes
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
