"""The stacks as files: what they promise, and what a container is started anew for."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from infra.model.declaration import built_in
from infra.model.site import Site
from infra.model.site_rules import published_ports
from infra.model.stack import CANARY_TAG, RenderedStack
from infra.rollout.render import render_stacks

SITE: dict[str, Any] = {
    "domain": "cronova.dev",
    "hosts": {"vps": {"address": "203.0.113.10", "admin_keys": ["ssh-ed25519 AAAA me"]}},
    "stacks": {
        "headscale": {"host": "vps", "base_domain": "mesh.cronova.dev"},
        "caddy": {"host": "vps"},
    },
    "backup": {"repository": "/srv/restic", "password": {"secret": "restic_password"}},
}


def site(stack: str = "", **changed: Any) -> Site:
    values = json.loads(json.dumps(SITE))
    if stack:
        values["stacks"][stack] |= changed
    return Site.model_validate(values)


def compose(stack: RenderedStack) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(stack.files["docker-compose.yml"].content)
    return loaded


def config(stacks: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(stacks["headscale"].files["config/config.yaml"].content)
    return loaded


def marks(stack: str, *sites: Site) -> list[dict[str, str]]:
    return [render_stacks(each)[stack].containers for each in sites]


def test_both_stacks_lie_in_the_shape_of_the_users_tree() -> None:
    stacks = render_stacks(site())
    assert [str(stack.directory) for stack in stacks.values()] == [
        "/home/linuxuser/docker/vps/networking/headscale",
        "/home/linuxuser/docker/vps/networking/caddy",
    ]
    assert {"docker-compose.yml", "backup.sh", "config/config.yaml"} <= set(
        stacks["headscale"].files
    )
    assert {"docker-compose.yml", "Caddyfile", "www/index.html"} <= set(stacks["caddy"].files)


def test_no_file_is_written_where_headscale_or_caddy_keep_their_keys() -> None:
    for stack in render_stacks(site(), b"-----BEGIN CERTIFICATE-----\n").values():
        assert stack.data
        assert not [path for path in stack.files if path.split("/")[0] in stack.data]


def test_only_declared_ports_are_published() -> None:
    published = {
        str(port).removesuffix("/tcp") if "/" not in str(port) else str(port).partition(":")[2]
        for stack in render_stacks(site()).values()
        for service in compose(stack)["services"].values()
        for port in service.get("ports", [])
    }
    assert published == {str(port) for port in published_ports(site(), "vps")}


def test_every_container_is_hardened_and_has_a_limit() -> None:
    for stack in render_stacks(site()).values():
        for name, service in compose(stack)["services"].items():
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert re.fullmatch(r"\d+m", service["mem_limit"]), name
            assert service["restart"] == "unless-stopped", name
            assert service["labels"]["meshkeeper.config"] == stack.containers[name]


def test_the_server_is_started_anew_for_its_configuration() -> None:
    before, after = marks("headscale", site(), site("headscale", subdomain="vpn"))
    assert before["headscale"] != after["headscale"]
    assert before["headscale-backup"] == after["headscale-backup"]


def test_the_sidecars_settings_leave_the_server_running() -> None:
    before, after = marks("headscale", site(), site("headscale", backup={"keep_days": 30}))
    assert before["headscale"] == after["headscale"]
    assert before["headscale-backup"] != after["headscale-backup"]


def test_caddy_is_not_started_anew_for_its_caddyfile() -> None:
    before, after = marks("caddy", site(), site("caddy", email="me@cronova.dev"))
    assert before == after


def test_a_limit_starts_caddy_anew() -> None:
    before, after = marks("caddy", site(), site("caddy", memory_mb=64))
    assert before != after


def test_headscale_gets_its_relay_and_the_public_maps() -> None:
    derp = config(render_stacks(site()))["derp"]
    assert derp["server"]["enabled"] is True
    assert derp["server"]["verify_clients"] is True
    assert derp["urls"] == ["https://controlplane.tailscale.com/derpmap/default"]


def test_the_policy_gives_the_canary_access_to_nothing() -> None:
    text = render_stacks(site())["headscale"].files["config/policy.hujson"].content
    policy = json.loads(re.sub(r",(\s*[\]}])", r"\1", re.sub(r"(?m)^\s*//.*$", "", text)))
    assert policy["tagOwners"] == {CANARY_TAG: []}
    for rule in policy["acls"]:
        ends = (*rule["src"], *rule["dst"])
        assert not [end for end in ends if end.startswith(("*", "tag:", "100.", "autogroup:tag"))]


def test_a_private_acme_root_is_trusted_by_both_and_only_where_there_is_one() -> None:
    pem = b"-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"
    stacks = render_stacks(site(), pem)
    assert stacks["headscale"].files["config/acme_root.pem"].content.encode() == pem
    assert "acme_ca_root /etc/caddy/acme_root.pem" in stacks["caddy"].files["Caddyfile"].content
    public = render_stacks(site())
    assert "acme_ca_root" not in public["caddy"].files["Caddyfile"].content
    assert "SSL_CERT_FILE" not in public["headscale"].files["docker-compose.yml"].content


def test_the_pages_style_is_the_one_that_its_policy_allows() -> None:
    caddy = render_stacks(site())["caddy"]
    style = re.search("<style>(.*)</style>", caddy.files["www/index.html"].content, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in caddy.files["Caddyfile"].content


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = render_stacks(site())["caddy"].files["www/index.html"].content
    links = re.findall(r"""(?:src|href|action)=["']([^"']*)""", page)
    assert all(link.startswith("data:") for link in links)
    assert "<script" not in page
    assert "@import" not in page


def test_a_letter_in_an_email_address_cannot_end_its_line() -> None:
    caddyfile = render_stacks(site("caddy", email='me"\n}\nevil {'))["caddy"].files["Caddyfile"]
    assert not [line for line in caddyfile.content.splitlines() if line.startswith("evil")]


def test_programs_go_as_they_are() -> None:
    tree = Path(__file__).parents[2] / "infra/docker/vps/networking/headscale"
    files = render_stacks(site())["headscale"].files
    for name in built_in()["headscale"].declaration.verbatim:
        assert files[name].content == (tree / name).read_text()
