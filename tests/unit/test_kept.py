"""Connections that are kept while a run holds its locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.access import kept
from infra.access.kept import keeping_connections, session_by
from infra.access.login import Login

VPS = Login(name="vps", address="192.0.2.1", user="linuxuser", known_hosts=Path("known_hosts"))
LOCKED = VPS.model_copy(update={"lock_token": "ours"})
OTHER = VPS.model_copy(update={"name": "other", "address": "192.0.2.2"})


class FakeSession:
    def __init__(self, login: Login, connection: "Connection") -> None:
        self.login, self.connection = login, connection

    @property
    def is_open(self) -> bool:
        return self.connection.open

    def by_lock(self, token: str) -> "FakeSession":
        return FakeSession(self.login.model_copy(update={"lock_token": token}), self.connection)


class Connection:
    open = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """All connections that were made."""
    made: list[Connection] = []

    @contextmanager
    def connect(login: Login) -> Iterator[Any]:
        made.append(Connection())
        connection = made[-1]
        try:
            yield FakeSession(login, connection)
        finally:
            connection.open = False

    monkeypatch.setattr(kept, "connect", connect)
    return made


def test_one_connection_serves_all_sessions_each_with_its_own_right(
    opened: list[Connection],
) -> None:
    with keeping_connections():
        for login in (VPS, LOCKED, LOCKED):
            with session_by(login) as session:
                assert session.login == login
        with session_by(OTHER):
            pass
        assert [connection.open for connection in opened] == [True, True]
    assert [connection.open for connection in opened] == [False, False]


def test_otherwise_each_session_has_a_connection_of_its_own(opened: list[Connection]) -> None:
    for _ in range(2):
        with session_by(VPS):
            pass
    assert [connection.open for connection in opened] == [False, False]


def test_after_an_error_and_after_an_end_the_next_begins_anew(opened: list[Connection]) -> None:
    with keeping_connections():
        with pytest.raises(OSError, match="cut"), session_by(VPS):
            raise OSError("cut")
        assert not opened[0].open
        with session_by(VPS):
            pass
        opened[1].open = False  # the host was booted anew
        with session_by(VPS) as session:
            assert session.is_open
    assert len(opened) == 3
