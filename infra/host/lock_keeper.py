"""Keeps a host's lock for as long as its run lives, and releases it."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context

from infra.access.session import Session
from infra.errors import CouldNotRun, Failed
from infra.host.lock import release, renew
from infra.model.lock import Claim

WayIn = Callable[[], AbstractContextManager[Session]]
log = logging.getLogger(__name__)


@contextmanager
def kept(way_in: WayIn, claim: Claim) -> Iterator[None]:
    """The lock that was taken is renewed during the block, over connections of its own; then released.

    A process that is killed renews no more, and where no connection can be had for the length of a
    lease the lock is lost: the next change then refuses itself.
    """
    over = threading.Event()
    # With the run's context, or Prefect would not know whose these log lines are.
    keeper = threading.Thread(
        target=copy_context().run, args=(_keep, way_in, claim, over), daemon=True
    )
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _keep(way_in: WayIn, claim: Claim, over: threading.Event) -> None:
    """One connection, and another when that breaks; one more try at the end, which releases."""
    ending = False
    while True:
        try:
            with way_in() as session:
                _renew_until(session, claim, over)
                release(session, claim.token)
            return
        except (CouldNotRun, Failed) as error:
            if ending:
                return  # the lease ends by itself
            ending = over.is_set()
            log.warning("The lock was not renewed, and is tried again: %s", error)
            over.wait(claim.lease / 12)


def _renew_until(session: Session, claim: Claim, over: threading.Event) -> None:
    while renew(session, claim):
        if over.wait(claim.lease / 3):
            return
    log.warning("%s: the lock is no longer this run's: it changes nothing more", session.login.name)
