"""What counts as a right answer from outside."""

from typing import Any

import httpx
import pytest

from deployments.cli.schema import EXAMPLE
from infra.errors import GateFailed
from infra.rollout import outside_gate
from infra.rollout.outside_gate import HEADERS, gate_from_outside
from infra.rollout.render import render_stacks
from infra.site_file import load_site

SITE = load_site(EXAMPLE)
KEY = "mkey:" + "ab" * 32


def redirected(target: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is found of a site in order, whose plain page leads to `target`."""
    page = {**dict.fromkeys(HEADERS, "x"), "content-type": "text/html"}
    pages = {
        f"{SITE.server_url}/health": httpx.Response(200, json={"status": "pass"}),
        f"{SITE.server_url}/key?v=113": httpx.Response(200, json={"publicKey": KEY}),
        f"https://{SITE.domain}/": httpx.Response(200, headers=page),
        f"http://{SITE.domain}/": httpx.Response(308, headers={"location": target}),
    }

    def get(url: str, *_: Any) -> httpx.Response:
        return pages[url]

    monkeypatch.setattr(outside_gate, "get", get)
    monkeypatch.setattr(outside_gate, "PATIENCE", 0)
    return gate_from_outside(SITE, render_stacks(SITE).values(), KEY)[-1].found


@pytest.mark.parametrize("rest", ["", "/", "/page"])
def test_a_redirect_to_the_sites_own_https_is_right(
    rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"https://{SITE.domain}{rest}"
    assert redirected(target, monkeypatch) == f"308 to {target}"


@pytest.mark.parametrize("rest", [".evil.example/", "@evil.example/", "-evil.example", ":1234/"])
def test_a_redirect_to_a_host_that_begins_like_ours_is_not(
    rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GateFailed, match="It answers 308"):
        redirected(f"https://{SITE.domain}{rest}", monkeypatch)
