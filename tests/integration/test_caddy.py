"""Caddy as the world sees it, and as its reload is noticed by nobody."""

import json
import re
import subprocess
import time
from collections import Counter
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.witnesses import device, requests
from infra.access.login import admin_login
from infra.access.ssh import connect
from infra.errors import GateFailed
from infra.rollout import local_gate
from infra.rollout.local_gate import gate_locally
from infra.rollout.outlook import wanted_stacks
from infra.rollout.reload import reload_stack, reloading
from tests.integration.rolling import keys_on_host, kinds, roll_out, site_changed

ADMIN = "http://localhost:2019"


def head(lab: Lab, url: str) -> tuple[str, dict[str, str]]:
    """Status line and headers, as the observer gets them with a verified certificate."""
    first, *lines = lab.observer.check("curl", "-sSI", "-m", "20", url).strip().splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return first, {name.lower(): value.strip() for name, value in pairs}


@pytest.mark.parametrize("name", ["", "hs."])
def test_certificates_come_from_the_acme_server(mesh: Lab, name: str) -> None:
    shown = mesh.observer.run("curl", "-svo", "/dev/null", f"https://{name}{mesh.site.domain}/")
    assert shown.status == 0
    assert re.search(r"issuer: .*Pebble Intermediate", shown.stderr)
    assert "SSL certificate verify ok" in shown.stderr


def test_the_landing_page_comes_with_careful_headers(mesh: Lab) -> None:
    status, headers = head(mesh, f"https://{mesh.site.domain}/")
    assert " 200" in status
    assert "max-age=31536000" in headers["strict-transport-security"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in headers["permissions-policy"]
    assert "server" not in headers


def test_the_landing_page_is_the_rendered_one(mesh: Lab) -> None:
    page = mesh.observer.check("curl", "-sS", f"https://{mesh.site.domain}/")
    wanted = (
        wanted_stacks(mesh.settings, mesh.site, ("caddy",))["caddy"].files["www/index.html"].content
    )
    assert page == wanted


def test_a_page_that_is_not_there_keeps_the_headers(mesh: Lab) -> None:
    status, headers = head(mesh, f"https://{mesh.site.domain}/Caddyfile")
    assert " 404" in status
    assert "strict-transport-security" in headers
    assert "server" not in headers


def test_plain_http_leads_to_https(mesh: Lab) -> None:
    status, headers = head(mesh, f"http://{mesh.site.domain}/")
    assert " 308" in status
    assert headers["location"] == f"https://{mesh.site.domain}/"


def test_the_admin_api_answers_inside_only(mesh: Lab) -> None:
    refused = mesh.observer.run("curl", "-sS", "-m", "5", f"http://{mesh.plan.place('vps')}:2019/")
    assert refused.status != 0
    assert mesh.vps.run("curl", "-sS", "-m", "5", f"{ADMIN}/config/").status != 0


def test_a_reload_drops_no_request_and_no_stream(mesh: Lab) -> None:
    def edit(values: dict[str, Any]) -> None:
        values["stacks"]["caddy"]["email"] = f"admin@{mesh.site.domain}"

    health = f"{mesh.site.server_url}/health"
    with requests(mesh, health) as asked, device(mesh) as client, site_changed(mesh, edit):
        assert kinds(roll_out(mesh)) == ["caddy.write", "caddy.reload"]
    assert len(asked.answers) > 20
    assert asked.failed == {}
    assert client.streams_before
    assert client.broken_streams == frozenset()
    assert (client.lost, set(client.states)) == (0, {"Running"})


#: Four at once, each with connections of its own; the errors stand in the last column.
ASK = """cd $(mktemp -d)
for each in 1 2 3 4; do (
    while [ ! -e stop ]; do
        curl -s $1 -o /dev/null -m 10 -w '%{{http_code}} %{{errormsg}}\n' {url} >>answers.$each
    done
) & done
read -r _
touch stop
wait
cat answers.*
"""


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
def test_no_new_connection_is_reset_or_left_without_an_answer_by_reloads(
    mesh: Lab, protocol: str
) -> None:
    """By Caddy's own command alone each loses one request or two."""
    caddy = wanted_stacks(mesh.settings, mesh.site, ("caddy",))["caddy"]
    script = ASK.format(url=f"https://{mesh.site.domain}/")
    with subprocess.Popen(
        ["docker", "exec", "-i", mesh.observer.name, "sh", "-c", script, "sh", protocol],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as asking:  # fmt: skip
        with connect(admin_login(mesh.settings, mesh.site, "vps")) as session:
            for _ in range(5):
                reload_stack(session, caddy)
                time.sleep(1.5)  # who was held tries again after a second, and then after two more
        answers = Counter(asking.communicate("stop\n", timeout=120)[0].splitlines())
    assert set(answers) == {"200 "}
    assert answers.total() > 50


def test_a_door_that_was_left_shut_opens_by_itself(mesh: Lab) -> None:
    """The host's shell is killed in mid-reload: its table stays, the ports in it do not."""
    caddy = wanted_stacks(mesh.settings, mesh.site, ("caddy",))["caddy"]
    assert caddy.reload
    page = ("curl", "-sS", "-o", "/dev/null", f"https://{mesh.site.domain}/")
    with connect(admin_login(mesh.settings, mesh.site, "vps")) as session:
        killed = session.as_root("timeout --foreground --signal KILL 0.3 sh -s")
        session.run(killed, stdin=reloading(caddy.reload).encode())
        assert mesh.observer.run(*page, "-m", "0.9").status != 0
        assert mesh.observer.run(*page, "-m", "10").status == 0
        assert "meshkeeper_reload" in mesh.vps.check("nft", "list", "tables")
        reload_stack(session, caddy)
    assert "meshkeeper_reload" not in mesh.vps.check("nft", "list", "tables")


def test_nobody_notices_that_headscale_is_replaced_and_its_keys_stay(mesh: Lab) -> None:
    def edit(values: dict[str, Any]) -> None:
        values["stacks"]["headscale"]["memory_mb"] = 240

    keys = keys_on_host(mesh)
    health = f"{mesh.site.server_url}/health"
    with requests(mesh, health) as asked, device(mesh) as client, site_changed(mesh, edit):
        assert "headscale.start" in kinds(roll_out(mesh))
        assert keys_on_host(mesh) == keys
    assert len(asked.answers) > 20
    assert asked.failed == {}
    assert set(client.states) == {"Running"}


def test_a_running_configuration_that_is_not_the_files_turns_the_gate_red(
    mesh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_gate, "PATIENCE", 2)
    caddy = wanted_stacks(mesh.settings, mesh.site, ("caddy",))["caddy"]
    with connect(admin_login(mesh.settings, mesh.site, "vps")) as session:
        gate_locally(session, caddy)
        drift(mesh)
        with pytest.raises(GateFailed, match="another configuration"):
            gate_locally(session, caddy)
        reload_stack(session, caddy)
        gate_locally(session, caddy)


def drift(lab: Lab) -> None:
    """Change one value through the admin API, as somebody inside could."""
    pid = lab.vps.check("docker", "inspect", "-f", "{{.State.Pid}}", "caddy").strip()
    change = (
        "import urllib.request as web;"
        f"web.urlopen(web.Request('{ADMIN}/config/apps/http/grace_period',"
        f"data={json.dumps('7s')!r}.encode(),"
        "headers={'Content-Type': 'application/json'}, method='PATCH'))"
    )
    lab.vps.check("nsenter", "--net", "--target", pid, "python3", "-c", change)
