"""Locking hosts for as long as a flow changes them."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from prefect.runtime import flow_run

from infra.access.kept import keeping_connections
from infra.access.session import Session
from infra.errors import LoginRefused
from infra.host.lock import new_claim, take
from infra.host.lock_keeper import kept
from infra.host.provision import Target, way_in
from infra.model.lock import Claim
from tasks.definition import retried_step
from tasks.site import OpenSite


@contextmanager
def locked(opened: OpenSite, hosts: Iterable[str], doing: str) -> Iterator[OpenSite]:
    """The site with the right to change these hosts, all of them or none.

    `doing`: what others are told. In one order everywhere, so that two runs never wait for each
    other's half; one connection to each is kept meanwhile. Never around a question to a person.
    Raises HostLocked at once.
    """
    site, settings = opened.site, opened.settings
    with ExitStack() as stack:
        tokens = {}
        for host in sorted(set(hosts)):
            target = Target(settings, site, host, user=site.hosts[host].admin)
            tokens[host] = stack.enter_context(locked_host(target, doing)).lock_token
        stack.enter_context(keeping_connections())
        yield opened._replace(lock_tokens={**opened.lock_tokens, **tokens})


@contextmanager
def locked_host(target: Target, doing: str) -> Iterator[Target]:
    """The same for one host on its way to be provisioned."""
    claim = new_claim(doing, flow_run.name or "", target.settings.lease_seconds)
    take_lock(target, claim)
    with kept(partial(way_in_later, target), claim):
        yield target._replace(lock_token=claim.token)


@retried_step(name="lock", task_run_name="lock {target.host}")
def take_lock(target: Target, claim: Claim) -> None:
    with way_in(target) as session:
        take(session, claim)


@contextmanager
def way_in_later(target: Target) -> Iterator[Session]:
    """As who got in at first; once the run itself has shut root out, as the admin whom it made."""
    with ExitStack() as stack:
        try:
            session = stack.enter_context(way_in(target))
        except LoginRefused:
            session = stack.enter_context(way_in(target._replace(user=target.admin.user)))
        yield session
