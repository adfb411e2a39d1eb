"""The link to a host, with its faults: a real Toxiproxy that delays, narrows, silences and cuts."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from infra.errors import CouldNotRun
from infra.images.catalog import TOXIPROXY
from infra.images.golang import build_programs

LOOPBACK = "127.0.0.1"


class Link:
    """One way through the proxy: `port` on loopback leads to a host's sshd."""

    def __init__(self, api: httpx.Client, upstream: str) -> None:
        self._api = api
        proxy = {"name": "ssh", "listen": f"{LOOPBACK}:0", "upstream": upstream}
        made = api.post("/proxies", json=proxy).raise_for_status().json()
        self.port = int(made["listen"].rpartition(":")[2])

    def cut(self) -> None:
        """Reset the connections that are open, and each new one."""
        self._add("reset_peer", timeout=0)

    def silence(self) -> None:
        """Let nothing through any more, and close nothing."""
        self._add("timeout", timeout=0)

    def delay(self, milliseconds: int) -> None:
        """Add this to each direction."""
        self._add("latency", latency=milliseconds)

    def narrow(self, kilobytes: int) -> None:
        """Let no more than this through in a second, in each direction."""
        self._add("bandwidth", rate=kilobytes)

    def mend(self) -> None:
        for toxic in self._api.get("/proxies/ssh/toxics").json():
            self._api.delete(f"/proxies/ssh/toxics/{toxic['name']}").raise_for_status()

    def _add(self, kind: str, **attributes: int) -> None:
        for stream in ("upstream", "downstream"):
            toxic = {"type": kind, "stream": stream, "attributes": attributes}
            self._api.post("/proxies/ssh/toxics", json=toxic).raise_for_status()


@contextmanager
def link_to(upstream: str) -> Iterator[Link]:
    """A link to `upstream` (address:port) by a proxy process of our own, ended with the block."""
    port = free_port()
    program = build_programs(TOXIPROXY) / "server"
    process = subprocess.Popen(
        [str(program), "-host", LOOPBACK, "-port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as api:
            _wait_until_it_answers(api)
            yield Link(api, upstream)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(api: httpx.Client) -> None:
    for _ in range(100):
        try:
            api.get("/version").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise CouldNotRun("Toxiproxy does not answer.", "Is its port free, and the program whole?")
