"""A real Toxiproxy between the control machine and a host: it cuts, silences and delays."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from infra.images.catalog import TOXIPROXY
from infra.images.golang import build_programs
from tests.conftest import free_port


class Link:
    """One way through the proxy: `port` on loopback leads to a host's sshd."""

    def __init__(self, api: httpx.Client, upstream: str) -> None:
        self._api = api
        self.port = free_port()
        proxy = {"name": "ssh", "listen": f"127.0.0.1:{self.port}", "upstream": upstream}
        api.post("/proxies", json=proxy).raise_for_status()

    def cut(self) -> None:
        """Reset the connections that are open, and each new one."""
        self._add({"type": "reset_peer", "attributes": {"timeout": 0}})

    def delay(self, milliseconds: int) -> None:
        """Add this to each direction."""
        for stream in ("upstream", "downstream"):
            attributes = {"latency": milliseconds}
            self._add({"type": "latency", "stream": stream, "attributes": attributes})

    def mend(self) -> None:
        for toxic in self._api.get("/proxies/ssh/toxics").json():
            self._api.delete(f"/proxies/ssh/toxics/{toxic['name']}").raise_for_status()

    def _add(self, toxic: dict[str, Any]) -> None:
        self._api.post("/proxies/ssh/toxics", json=toxic).raise_for_status()


@contextmanager
def toxiproxy(upstream: str) -> Iterator[Link]:
    """A proxy process of our own, ended with the block."""
    port = free_port()
    program = build_programs(TOXIPROXY) / "server"
    process = subprocess.Popen(
        [str(program), "-host", "127.0.0.1", "-port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as api:
            _wait_until_it_answers(api)
            yield Link(api, upstream)
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(api: httpx.Client) -> None:
    for _ in range(100):
        try:
            api.get("/version").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Toxiproxy does not answer")
