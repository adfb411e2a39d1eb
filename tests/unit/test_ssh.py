"""Connections that never come to a login."""

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from paramiko import ECDSAKey

from infra.access import ssh
from infra.access.host_keys import pin
from infra.access.login import Login
from infra.access.ssh import connect
from infra.errors import Unreachable


def test_a_peer_whose_banner_never_ends_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a thread of ours would read on for as long as it sends."""
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT", 1)

    def banner_without_end() -> None:
        peer, _ = listening.accept()
        with peer, suppress(OSError):
            while not ended.wait(0.01):
                peer.sendall(b"x" * 100)

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        login = Login(
            name="vps",
            address="127.0.0.1",
            port=listening.getsockname()[1],
            user="admin",
            known_hosts=tmp_path / "known_hosts",
        )
        pin(login, ECDSAKey.generate())
        peer = threading.Thread(target=banner_without_end, daemon=True)
        peer.start()
        with pytest.raises(Unreachable, match="No SSH connection to vps"), connect(login):
            pass
        peer.join(timeout=5)
        hung_up = not peer.is_alive()
        ended.set()
        peer.join()
    assert hung_up
