"""What the site shows to the world, asked as any device asks: by name, with certificates."""

from collections.abc import Callable

import httpx

from infra.access.web import get
from infra.model.site import Site
from infra.model.stack import Check
from infra.rollout.local_gate import KEY_PATH, passes, public_key
from infra.rollout.waiting import NotYet, wait_until

#: Seconds, for certificates that have yet to be issued.
PATIENCE = 60
HEADERS = (
    "strict-transport-security",
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
)


def gate_from_outside(site: Site, server_key: str) -> tuple[Check, ...]:
    """Ask through the site's names; `server_key` is the host's own word.

    Raises GateFailed with what was found.
    """
    questions: tuple[tuple[str, Callable[[], str]], ...] = (
        (f"{site.server_url} is healthy", lambda: _health(site)),
        (f"{site.server_url} is the server on the host", lambda: _same_key(site, server_key)),
        (f"https://{site.domain} shows its page", lambda: _landing_page(site)),
        (f"http://{site.domain} leads to https", lambda: _redirect(site)),
    )
    return tuple(wait_until(name, ask, PATIENCE) for name, ask in questions)


def _health(site: Site) -> str:
    return passes(_page(site, f"{site.server_url}/health").content)


def _same_key(site: Site, server_key: str) -> str:
    shown = public_key(_page(site, site.server_url + KEY_PATH).content)
    if shown != server_key:
        raise NotYet(f"It shows {shown}, the server on the host shows {server_key}.")
    return shown


def _landing_page(site: Site) -> str:
    page = _page(site, f"https://{site.domain}/")
    if not page.headers.get("content-type", "").startswith("text/html"):
        raise NotYet("It is no HTML page.")
    if missing := [name for name in HEADERS if name not in page.headers]:
        raise NotYet(f"It lacks the headers {', '.join(missing)}.")
    return f"200, {len(page.content)} bytes"


def _redirect(site: Site) -> str:
    answer = get(f"http://{site.domain}/", site.network)
    target = answer.headers.get("location", "")
    # With the slash, or DOMAIN.evil.example and DOMAIN@evil.example would do as well.
    ours = f"{target}/".startswith(f"https://{site.domain}/")
    if answer.status_code not in {301, 308} or not ours:
        raise NotYet(f"It answers {answer.status_code}, to {target[:200] or 'nowhere'}.")
    return f"{answer.status_code} to {target}"


def _page(site: Site, url: str) -> httpx.Response:
    answer = get(url, site.network)
    if answer.status_code != httpx.codes.OK:
        raise NotYet(f"{url} answers {answer.status_code}.")
    return answer
