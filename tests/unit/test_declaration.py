"""Stacks as declarations: meshkeeper's own, and those of a user beside the site file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.cli.schema import EXAMPLE
from infra.errors import BadInput
from infra.model.declaration import Declaration, Gate, Needs, Snapshots
from infra.model.site import Site
from infra.model.site_rules import published_ports
from infra.rollout.outlook import wanted_stacks, with_needed
from infra.rollout.render import render_stacks
from infra.settings import Settings
from infra.site_file import load_site
from tests.following import PAGE, add_the_stack_of_the_page

COMPOSE = """\
name: hello
services:
  hello:
    image: {{ python_image }}
    container_name: hello
    command: [python, -m, http.server, "8000", --directory, /www]
    restart: unless-stopped
    mem_limit: {{ stack.memory_mb }}m
    volumes: [".:/www:ro"]
    ports: ["9000:9000/udp", "127.0.0.1:9001:9001/tcp"]
    networks: [mesh]
    labels: {meshkeeper.config: "{{ marks.hello }}"}
networks:
  mesh: {name: mesh, external: true}
"""
DECLARATION: dict[str, Any] = {
    "needs": {"stacks": ["headscale"], "ports": ["9000/udp"]},
    "web": {"name": "hello", "port": 8000},
    "gate": {"outside": [{"url": "https://hello.{{ site.domain }}/"}]},
}


class Folder:
    """A site file with a stack of its own beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.site: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
        self.site["stacks"]["hello"] = {
            "host": "vps",
            "memory_mb": 48,
            "values": {"greeting": "Good day"},
        }
        self.declaration: dict[str, Any] = json.loads(json.dumps(DECLARATION))
        self.stack = path / "stacks/hello"
        self.stack.mkdir(parents=True)
        (self.stack / "docker-compose.yml").write_text(COMPOSE)
        (self.stack / "index.html").write_text("<p>{{ stack.values.greeting }}, {{ site.domain }}")

    def load(self) -> Site:
        (self.path / "site.yaml").write_text(yaml.safe_dump(self.site, sort_keys=False))
        (self.stack / "stack.yaml").write_text(yaml.safe_dump(self.declaration))
        return load_site(self.path / "site.yaml")

    def refused(self) -> str:
        with pytest.raises(BadInput) as caught:
            render_stacks(self.load())
        return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_stack_of_ones_own_is_rendered_between_the_server_and_who_routes_to_it(
    folder: Folder,
) -> None:
    stacks = render_stacks(folder.load())
    assert list(stacks) == ["headscale", "hello", "caddy"]
    hello = stacks["hello"]
    assert str(hello.directory) == "/home/linuxuser/docker/vps/own/hello"
    assert list(hello.files) == ["docker-compose.yml", "index.html"]
    assert hello.files["index.html"].content == "<p>Good day, cronova.dev"
    assert "mem_limit: 48m" in hello.files["docker-compose.yml"].content
    assert hello.gate.outside[0].url == "https://hello.cronova.dev/"


def test_the_page_on_stacks_can_be_followed_to_the_letter(tmp_path: Path) -> None:
    values = yaml.safe_load(EXAMPLE.read_text())
    values["stacks"] |= add_the_stack_of_the_page(tmp_path / "site.yaml")
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(values))
    stacks = render_stacks(load_site(tmp_path / "site.yaml"))
    assert list(stacks) == ["headscale", "status", "caddy"]
    assert "<p>All is well.</p>" in stacks["status"].files["www/index.html"].content
    assert "status.cronova.dev {" in stacks["caddy"].files["Caddyfile"].content


def test_the_page_on_stacks_tells_every_key_of_a_declaration() -> None:
    page = PAGE.read_text()
    for model in (Declaration, Needs, Snapshots, Gate):
        for name in model.model_fields:
            assert re.search(rf"\b{name}\b", page), name


def test_caddy_routes_to_its_page_and_without_one_stays_as_it_was(folder: Folder) -> None:
    caddyfile = render_stacks(folder.load())["caddy"].files["Caddyfile"].content
    assert "\nhello.cronova.dev {\n" in caddyfile
    assert "reverse_proxy hello:8000 {" in caddyfile
    assert "hello" not in render_stacks(load_site(EXAMPLE))["caddy"].files["Caddyfile"].content


def test_its_ports_are_let_through_the_firewall(folder: Folder) -> None:
    opened = [str(port) for port in published_ports(folder.load(), "vps")]
    assert opened == ["80/tcp", "443/tcp", "443/udp", "3478/udp", "9000/udp"]


def test_it_is_started_anew_for_any_of_its_files(folder: Folder) -> None:
    before = render_stacks(folder.load())["hello"].containers
    folder.site["stacks"]["hello"]["values"]["greeting"] = "Good night"
    assert render_stacks(folder.load())["hello"].containers != before


def test_a_gate_asks_for_what_a_stack_needs_too_and_for_no_other(folder: Folder) -> None:
    site = folder.load()
    assert with_needed(site, ["hello"]) == {"hello", "headscale"}
    assert with_needed(site, ["headscale"]) == {"headscale"}


def test_a_stack_that_is_not_named_in_the_site_file_may_be_unfinished(folder: Folder) -> None:
    del folder.site["stacks"]["hello"]
    folder.declaration["gate"] = "later"
    assert list(render_stacks(folder.load())) == ["headscale", "caddy"]


def test_a_name_that_is_declared_nowhere_tells_where_to_declare_it(folder: Folder) -> None:
    folder.site["stacks"]["hullo"] = folder.site["stacks"].pop("hello")
    assert (
        "stacks.hullo: no stack of this name is declared; declared are: caddy, headscale; one of "
        "your own is a folder stacks/hullo beside the site file, with a stack.yaml"
    ) in folder.refused()


@pytest.mark.parametrize("name", ["../hello", "", ".", "a/../../hello"])
def test_a_name_leads_out_of_no_folder(folder: Folder, name: str) -> None:
    folder.site["stacks"][name] = folder.site["stacks"].pop("hello")
    assert "no stack of this name is declared" in folder.refused()


def test_a_rollout_of_a_stack_that_is_not_there_lists_those_that_are(folder: Folder) -> None:
    with pytest.raises(BadInput, match="It names: headscale, caddy, hello"):
        wanted_stacks(Settings(), folder.load(), ["hullo"])


def test_every_problem_of_a_declaration_is_told_with_its_path(folder: Folder) -> None:
    folder.declaration = {
        "needs": {"ports": ["80/sctp"], "memory": 5},
        "data": ["/etc"],
        "gate": {"outside": [{"url": "x", "status": 99}], "inside_checks": ["vibes"]},
    }
    told = folder.refused()
    for line in (
        "needs.ports[0].protocol: 'sctp' should be 'tcp' or 'udp'",
        "needs.memory: unknown key",
        "data[0]: '/etc' no path below the stack's folder",
        "gate.outside[0].status: 99 should be",
        "gate.inside_checks[0]: 'vibes' should be 'caddy_configuration'",
    ):
        assert line in told
    assert "stacks/hello/stack.yaml can't be used" in told


@pytest.mark.parametrize(
    ("taken_out", "told"),
    [
        ("    container_name: hello\n", "services.hello.container_name: write hello"),
        ("    mem_limit: {{ stack.memory_mb }}m\n", "services.hello.mem_limit: write such as"),
        ("    restart: unless-stopped\n", "services.hello.restart: write unless-stopped"),
        (
            '    labels: {meshkeeper.config: "{{ marks.hello }}"}\n',
            "services.hello.labels: write meshkeeper.config: \"{{ marks['hello'] }}\"",
        ),
    ],
)
def test_a_compose_file_that_can_not_be_looked_after_says_what_to_write(
    folder: Folder, taken_out: str, told: str
) -> None:
    assert taken_out in COMPOSE
    (folder.stack / "docker-compose.yml").write_text(COMPOSE.replace(taken_out, ""))
    assert told in folder.refused()


def test_what_a_template_asks_for_and_nobody_has_given_is_told_with_its_file(
    folder: Folder,
) -> None:
    folder.site["stacks"]["hello"]["values"] = {}
    told = folder.refused()
    assert "hello/index.html can't be filled in" in told
    assert "greeting" in told


def test_a_need_that_the_site_does_not_fill_is_told(folder: Folder) -> None:
    folder.declaration["needs"]["stacks"] = ["ntfy"]
    assert "stacks.hello: it needs the stack ntfy, which is not here" in folder.refused()


def test_who_needs_the_one_that_routes_to_it_goes_in_a_circle(folder: Folder) -> None:
    folder.declaration["needs"]["stacks"] = ["caddy"]
    assert "caddy → hello → caddy" in folder.refused()


def test_a_page_and_a_port_belong_to_one_stack(folder: Folder) -> None:
    folder.declaration["web"]["name"] = "hs"
    folder.declaration["needs"]["ports"] = ["443/tcp"]
    (folder.stack / "docker-compose.yml").write_text(COMPOSE.replace("9000:9000/udp", "443:1/tcp"))
    told = folder.refused()
    assert "its page is hs.cronova.dev, which is headscale's already" in told
    assert "443/tcp of vps is published by two stacks" in told


def test_a_name_of_meshkeepers_own_is_taken(folder: Folder) -> None:
    (folder.path / "stacks/caddy").mkdir()
    (folder.path / "stacks/caddy/stack.yaml").write_text("{}")
    assert "meshkeeper has a stack of this name" in folder.refused()


SNAPSHOT = {"server": "hello", "sidecar": "hello-backup", "database": "hello.db"}


def test_snapshots_of_ones_own_stack_are_asked_for_as_it_declares_them(folder: Folder) -> None:
    folder.declaration |= {"data": ["data"], "snapshot": SNAPSHOT | {"sidecar": "hello"}}
    hello = render_stacks(folder.load())["hello"]
    assert hello.server == "hello"
    assert hello.snapshot is not None
    assert (hello.snapshot.database, hello.snapshot.holds) == ("hello.db", ())


def test_a_snapshot_by_a_container_that_is_not_there_is_refused(folder: Folder) -> None:
    folder.declaration |= {"data": ["data"], "snapshot": SNAPSHOT}
    told = folder.refused()
    assert "has no service hello-backup, which snapshot.sidecar of stack.yaml names" in told


def test_a_snapshot_without_the_folder_that_it_is_made_of_is_refused(folder: Folder) -> None:
    folder.declaration["snapshot"] = SNAPSHOT
    assert "a snapshot is made of the folder data; write data: [data]" in folder.refused()


@pytest.mark.parametrize(
    ("ports", "told"),
    [
        ("9000:9000/tcp", "publishes 9000/tcp, and needs.ports declares 9000/udp"),
        ("127.0.0.1:9000:9000/udp", "publishes no port, and needs.ports declares 9000/udp"),
        ("9000-9009:9000-9009/udp", "has not the right form. Write host's port"),
        ("9000", "services.hello.ports: '9000' has not the right form"),
    ],
)
def test_the_firewall_goes_by_what_is_published(folder: Folder, ports: str, told: str) -> None:
    changed = COMPOSE.replace("9000:9000/udp", ports)
    (folder.stack / "docker-compose.yml").write_text(changed)
    assert told in folder.refused()


@pytest.mark.parametrize(
    ("place", "declared"),
    [
        ("gate.inside", {"gate": {"inside": [{"container": "helo", "url": "http://127.0.0.1/"}]}}),
        ("interrupts", {"interrupts": {"helo": "It is away."}}),
        ("reads", {"reads": {"helo": []}}),
        ("reload.container", {"reload": {"container": "helo", "files": ["a"], "command": ["b"]}}),
    ],
)
def test_a_container_that_there_is_not_is_told_with_those_that_there_are(
    folder: Folder, place: str, declared: dict[str, Any]
) -> None:
    folder.declaration |= declared
    told = folder.refused()
    assert f"has no service helo, which {place} of stack.yaml names." in told
    assert "Its services are: hello." in told


def test_a_page_is_that_of_the_container_with_the_stacks_name(folder: Folder) -> None:
    text = (folder.stack / "docker-compose.yml").read_text()
    folder.declaration["web"] = {"name": "hello", "port": 80}
    folder.declaration.pop("gate", None)
    renamed = text.replace("  hello:", "  page:").replace(
        "container_name: hello", "container_name: page"
    )
    (folder.stack / "docker-compose.yml").write_text(renamed.replace("marks.hello", "marks.page"))
    assert "has no service hello, which web (the container that has the" in folder.refused()


def test_a_template_that_is_wrong_is_told_by_its_line(folder: Folder) -> None:
    (folder.stack / "index.html").write_text("<p>\n{{ site.domain }\n")
    assert "hello/index.html, line 2, can't be filled in" in folder.refused()
