"""Health gates: a stack asked for what users need of it, on the host and from outside.

What is asked from outside goes through DNS, certificates and Caddy, as any device would.
"""

import json
import shlex
import time
from collections.abc import Callable
from typing import Any

import httpx

from infra.access.ssh import Session
from infra.access.web import get
from infra.errors import Failed, GateFailed, Unreachable
from infra.model.request import StackName
from infra.model.site import Site
from infra.model.stack import Check

#: Seconds: for a start, and for certificates that have yet to be issued.
LOCAL_PATIENCE, OUTSIDE_PATIENCE = 45, 60
PAUSE = 0.5
MOST_RESTARTS = 3
KEY_PATH = "/key?v=113"
HEADERS = (
    "strict-transport-security",
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
)
#: Run in the network of a container, whatever its image holds.
FETCH = (
    "import sys, urllib.request as web; "
    "ask = web.build_opener(web.ProxyHandler({})).open(sys.argv[1], timeout=5); "
    "sys.stdout.buffer.write(ask.read(1 << 20))"
)


class NotYet(Failed):
    """An answer that may become right by waiting."""


class Hopeless(Failed):
    """An answer that no waiting makes right."""


def gate_locally(session: Session, stack: StackName) -> tuple[Check, ...]:
    """Ask the stack on its host. Raises GateFailed with what was found."""
    if stack == "headscale":
        return (
            wait_until(
                "headscale is healthy", lambda: _healthy(session, "headscale"), LOCAL_PATIENCE
            ),
            wait_until(
                "its API answers on the host", lambda: _local_health(session), LOCAL_PATIENCE
            ),
        )
    return (wait_until("caddy runs what its Caddyfile says", lambda: _same_config(session), 20),)


def gate_from_outside(site: Site, local_key: str) -> tuple[Check, ...]:
    """Ask through the site's names. Raises GateFailed with what was found."""
    questions: tuple[tuple[str, Callable[[], str]], ...] = (
        (f"{site.server_url}/health", lambda: _outside_health(site)),
        (f"{site.server_url}/key is the server's own", lambda: _outside_key(site, local_key)),
        (f"https://{site.domain} shows its page", lambda: _landing_page(site)),
        (f"http://{site.domain} leads to https", lambda: _redirect(site)),
    )
    return tuple(wait_until(name, ask, OUTSIDE_PATIENCE) for name, ask in questions)


def server_key(session: Session) -> str:
    """`mkey:…` as headscale itself shows it on the host. Raises StepFailed."""
    return _public_key(_inside(session, "headscale", f"http://127.0.0.1:8080{KEY_PATH}"))


def wait_until(name: str, question: Callable[[], str], patience: float) -> Check:
    """Ask until the answer is right; GateFailed when it is not within `patience` seconds."""
    began = time.monotonic()
    while True:
        try:
            found = question()
            return Check(name=name, found=found, passed=True, seconds=time.monotonic() - began)
        except (Failed, Unreachable) as error:
            if isinstance(error, Hopeless) or time.monotonic() - began > patience:
                raise GateFailed(f"{name}: no. {error.message}") from error
        time.sleep(PAUSE)


def _healthy(session: Session, container: str) -> str:
    inspected = _inspect(session, container)
    health = inspected["State"].get("Health", {}).get("Status", "running")
    if inspected["RestartCount"] >= MOST_RESTARTS:
        raise Hopeless(f"The container {container} ends again and again.")
    if health != "healthy":
        raise NotYet(f"The container {container} is {health}.")
    return str(health)


def _local_health(session: Session) -> str:
    return _passes(_inside(session, "headscale", "http://127.0.0.1:8080/health"))


def _same_config(session: Session) -> str:
    """The running configuration is the one that the file on the host adapts to."""
    adapt = "docker exec caddy caddy adapt --config /etc/caddy/Caddyfile --adapter caddyfile"
    wanted = json.loads(session.check("read the Caddyfile", session.as_root(adapt)))
    if json.loads(_inside(session, "caddy", "http://localhost:2019/config/")) != wanted:
        raise NotYet("Caddy runs another configuration than its Caddyfile's.")
    return "the same"


def _inside(session: Session, container: str, url: str) -> bytes:
    """GET `url` in the container's own network. Raises StepFailed."""
    pid = int(_inspect(session, container)["State"]["Pid"])
    enter = ("nsenter", "--net", "--target", str(pid), "python3", "-I", "-c", FETCH, url)
    return session.check(f"ask {container} itself", session.as_root(shlex.join(enter)))


def _inspect(session: Session, container: str) -> dict[str, Any]:
    command = f"docker inspect --type container {shlex.quote(container)}"
    inspected = json.loads(session.check(f"look at {container}", session.as_root(command)))
    found: dict[str, Any] = inspected[0]
    return found


def _outside_health(site: Site) -> str:
    return _passes(_page(site, f"{site.server_url}/health").content)


def _outside_key(site: Site, local_key: str) -> str:
    key = _public_key(_page(site, site.server_url + KEY_PATH).content)
    if key != local_key:
        raise NotYet(f"It shows {key}, the server on the host shows {local_key}.")
    return key


def _landing_page(site: Site) -> str:
    page = _page(site, f"https://{site.domain}/")
    missing = [name for name in HEADERS if name not in page.headers]
    if "text/html" not in page.headers.get("content-type", "") or missing:
        raise NotYet(f"It is no page, or it lacks headers: {', '.join(missing) or 'none'}.")
    return f"200, {len(page.content)} bytes"


def _redirect(site: Site) -> str:
    answer = get(f"http://{site.domain}/", site.network)
    target = answer.headers.get("location", "")
    if answer.status_code not in {301, 308} or not target.startswith(f"https://{site.domain}"):
        raise NotYet(f"It answers {answer.status_code}, to {target or 'nowhere'}.")
    return f"{answer.status_code} to {target}"


def _page(site: Site, url: str) -> httpx.Response:
    answer = get(url, site.network)
    if answer.status_code != httpx.codes.OK:
        raise NotYet(f"{url} answers {answer.status_code}.")
    return answer


def _passes(body: bytes) -> str:
    status = _object(body).get("status")
    if status != "pass":
        raise NotYet(f"Its health is {status!r}.")
    return "pass"


def _public_key(body: bytes) -> str:
    key = _object(body).get("publicKey")
    if not isinstance(key, str) or not key.startswith("mkey:"):
        raise NotYet("It shows no server key.")
    return key


def _object(body: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(body)
    except ValueError as error:
        raise NotYet("It answers something that is no JSON.") from error
    return loaded if isinstance(loaded, dict) else {}
