"""A lock that lives as long as its run, and no longer."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Unreachable
from infra.host import lock
from infra.host.lock_keeper import kept
from tests.unit.lock_host import LocalSession, lock_in

LEASE = 3


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_in(tmp_path / "lock", monkeypatch)


class Ways:
    """Ways to the host that can be shut."""

    def __init__(self) -> None:
        self.shut = False
        self.opened = 0
        #: The connections up to this number are broken.
        self.cut = 0

    @contextmanager
    def way_in(self) -> Iterator[Any]:
        self._refuse()
        self.opened += 1
        number, session = self.opened, LocalSession()
        asked = session.check

        def check(*words: Any, **options: Any) -> bytes:
            self._refuse()
            if number <= self.cut:
                raise Unreachable("cut", "")
            return asked(*words, **options)

        session.check = check  # type: ignore[method-assign]
        yield session

    def _refuse(self) -> None:
        if self.shut:
            raise Unreachable("cut", "")


@pytest.fixture
def ways() -> Ways:
    return Ways()


@pytest.fixture
def claim() -> Any:
    claim = lock.new_claim("provision vps", "quick-fox", LEASE)
    lock.take(here(), claim)
    return claim


def here() -> Any:
    return LocalSession()


def test_it_is_renewed_for_longer_than_a_lease_and_then_free(ways: Ways, claim: Any) -> None:
    with kept(ways.way_in, claim):
        time.sleep(LEASE + 1.5)
        assert lock.shown(here()).token == claim.token
    assert lock.shown(here()).token is None
    assert ways.opened == 1


def test_it_is_free_also_after_a_run_that_failed(ways: Ways, claim: Any) -> None:
    with pytest.raises(ZeroDivisionError), kept(ways.way_in, claim):
        raise ZeroDivisionError
    assert lock.shown(here()).token is None


def test_a_connection_that_breaks_is_replaced(ways: Ways, claim: Any) -> None:
    with kept(ways.way_in, claim):
        time.sleep(0.5)
        ways.shut = True
        time.sleep(1)
        ways.shut = False
        time.sleep(LEASE)
        assert lock.shown(here()).token == claim.token
    assert ways.opened > 1


def test_without_any_connection_it_is_lost_after_a_lease_and_stays_lost(
    ways: Ways, claim: Any
) -> None:
    ways.shut = True
    with kept(ways.way_in, claim):
        time.sleep(LEASE + 1)
        ways.shut = False
        time.sleep(1)
        assert lock.shown(here()).token is None


def test_a_connection_that_was_cut_before_the_end_leaves_no_lock(ways: Ways, claim: Any) -> None:
    """As when all of a run's connections break: it ends, and the next need not wait for a lease."""
    with kept(ways.way_in, claim):
        time.sleep(0.5)
        ways.cut = ways.opened
    assert lock.shown(here()).token is None


def test_the_next_holders_lock_is_left_alone(ways: Ways, claim: Any) -> None:
    with kept(ways.way_in, claim):
        lock.release(here(), claim.token)
        other = lock.new_claim("rollout", "late-owl", 60)
        lock.take(here(), other)
        time.sleep(LEASE / 3 + 0.5)
    assert lock.shown(here()).token == other.token


def test_a_host_that_cannot_be_reached_at_the_end_holds_nobody_up(ways: Ways, claim: Any) -> None:
    ways.shut = True
    began, threads = time.monotonic(), threading.active_count()
    with kept(ways.way_in, claim):
        pass
    assert time.monotonic() - began < 1
    assert threading.active_count() == threads
