"""Ports that answer, and what is no answer at all."""

import socket
from contextlib import closing

import pytest

from infra.access.probe import open_ports
from infra.errors import Unreachable


def test_a_port_answers_when_somebody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
        with closing(socket.socket()) as silent:
            silent.bind(("127.0.0.1", 0))
            closed = silent.getsockname()[1]
            assert open_ports("127.0.0.1", (closed, port)) == {port}


def test_a_name_without_an_address_says_nothing_of_ports() -> None:
    with pytest.raises(Unreachable, match=r"host\.invalid has no address here"):
        open_ports("host.invalid", (80,))


def test_a_machine_without_a_network_says_nothing_of_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(Unreachable, match="no way to 192"):
        open_ports("192.0.2.1", (80, 443))
