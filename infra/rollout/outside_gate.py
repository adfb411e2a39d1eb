"""What the site shows to the world, asked as any device asks: by name, with certificates."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import httpx

from infra.access.web import get
from infra.model.declaration import OutsideCheck, Question
from infra.model.site import Site
from infra.model.stack import Check, RenderedStack
from infra.rollout.answers import public_key, right_answer
from infra.rollout.local_gate import KEY_PATH
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
Asked = tuple[str, Callable[[], str]]


def gate_from_outside(
    site: Site, stacks: Iterable[RenderedStack], server_key: str
) -> tuple[Check, ...]:
    """Ask for these stacks through the site's names; `server_key` is the host's own word.

    Raises GateFailed with what was found.
    """
    world = _World(site, server_key)
    questions = [question for stack in stacks for question in _questions(world, stack)]
    return tuple(wait_until(name, ask, PATIENCE) for name, ask in questions)


class _World(NamedTuple):
    site: Site
    server_key: str


def _questions(world: _World, stack: RenderedStack) -> list[Asked]:
    asked: list[Asked] = [
        (f"{question.url} answers rightly", partial(_ask, world, question))
        for question in stack.gate.outside
    ]
    return asked + [_CHECKS[check](world) for check in stack.gate.outside_checks]


def _ask(world: _World, question: Question) -> str:
    answer = get(question.url, world.site.network)
    return right_answer(question, answer.status_code, answer.content)


def _same_key(world: _World) -> Asked:
    def ask() -> str:
        shown = public_key(_page(world.site, world.site.server_url + KEY_PATH).content)
        if shown != world.server_key:
            raise NotYet(f"It shows {shown}, the server on the host shows {world.server_key}.")
        return shown

    return f"{world.site.server_url} is the server on the host", ask


def _landing_page(world: _World) -> Asked:
    url = f"https://{world.site.domain}"

    def ask() -> str:
        page = _page(world.site, f"{url}/")
        if not page.headers.get("content-type", "").startswith("text/html"):
            raise NotYet("It is no HTML page.")
        if missing := [name for name in HEADERS if name not in page.headers]:
            raise NotYet(f"It lacks the headers {', '.join(missing)}.")
        return f"200, {len(page.content)} bytes"

    return f"{url} shows its page", ask


def _leads_to_https(world: _World) -> Asked:
    domain = world.site.domain

    def ask() -> str:
        answer = get(f"http://{domain}/", world.site.network)
        target = answer.headers.get("location", "")
        # With the slash, or DOMAIN.evil.example and DOMAIN@evil.example would do as well.
        ours = f"{target}/".startswith(f"https://{domain}/")
        if answer.status_code not in {301, 308} or not ours:
            raise NotYet(f"It answers {answer.status_code}, to {target[:200] or 'nowhere'}.")
        return f"{answer.status_code} to {target}"

    return f"http://{domain} leads to https", ask


def _page(site: Site, url: str) -> httpx.Response:
    answer = get(url, site.network)
    if answer.status_code != httpx.codes.OK:
        raise NotYet(f"{url} answers {answer.status_code}.")
    return answer


_CHECKS: dict[OutsideCheck, Callable[[_World], Asked]] = {
    "landing_page": _landing_page,
    "leads_to_https": _leads_to_https,
    "server_key": _same_key,
}
