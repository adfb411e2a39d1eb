"""HTTPS by a resolver and a root of one's own, against a real TLS server and a real DNS socket."""

import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO

import pytest

from deployments.lab.authority import Authority
from infra.access import web
from infra.access.names import resolve
from infra.access.web import get, relay_key
from infra.errors import Unreachable
from infra.model.site import Network

NAME = "hs.cronova.test"
LOCAL = IPv4Address("127.0.0.1")
KEY = "ab" * 32


DRIPS = {
    "/drips-headers": b"HTTP/1.1 200 OK\r\nX-Much: ",
    "/drips-body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
}
BODIES = {"/long": b"x" * 5000, "/compressed": gzip.compress(bytes(64 * 1024 * 1024))}


def drip(stream: BinaryIO) -> None:
    """A byte now and then, each long before any client's patience ends."""
    with suppress(OSError):
        for _ in range(100):
            stream.write(b"x")
            time.sleep(0.05)


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/derp" and self.headers.get("Upgrade") == "DERP":
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "DERP")
            self.send_header("Derp-Public-Key", f"nodekey:{KEY}")
            self.end_headers()
            return
        if self.path in DRIPS:
            self.wfile.write(DRIPS[self.path])
            drip(self.wfile)
            return
        body = BODIES.get(self.path) or self.headers["Host"].encode()
        self.send_response(301 if self.path == "/moved" else 200)
        if self.path == "/compressed":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Location", "http://169.254.169.254/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Tests' output stays readable."""


@contextmanager
def tls_server(certificate: bytes, key: bytes, folder: Path) -> Iterator[int]:
    (folder / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server = ThreadingHTTPServer((str(LOCAL), 0), Pages)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> Iterator[int]:
    with tls_server(*authority.issue(NAME, str(LOCAL)), tmp_path) as port:
        yield port


@pytest.fixture
def network(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Network:
    """The site's resolver answers with this machine; its own protocol is tested below."""
    monkeypatch.setattr(web, "resolve", lambda _name, _server: LOCAL)
    return Network.model_validate(
        {"resolver": "192.0.2.53", "extra_root": str(authority.root_file)}
    )


def test_the_name_is_in_the_host_header_and_the_certificate_is_for_it(
    server: int, network: Network
) -> None:
    answer = get(f"https://{NAME}:{server}/", network)
    assert answer.status_code == 200
    assert answer.text == f"{NAME}:{server}"


def test_a_certificate_for_another_name_is_refused(server: int, network: Network) -> None:
    with pytest.raises(Unreachable, match="certificate"):
        get(f"https://status.cronova.test:{server}/", network)


def test_without_the_extra_root_the_certificate_is_refused(server: int, network: Network) -> None:
    stranger = network.model_copy(update={"extra_root": None})
    with pytest.raises(Unreachable, match="certificate"):
        get(f"https://{NAME}:{server}/", stranger)


def test_a_redirect_is_told_and_not_followed(server: int, network: Network) -> None:
    assert get(f"https://{NAME}:{server}/moved", network).status_code == 301


def test_a_body_beyond_the_limit_is_an_error(server: int, network: Network) -> None:
    with pytest.raises(Unreachable, match="more than 100 bytes"):
        get(f"https://{NAME}:{server}/long", network, limit=100)


def test_a_body_that_is_longer_than_it_looks_is_not_unpacked(server: int, network: Network) -> None:
    with pytest.raises(Unreachable, match="compressed"):
        get(f"https://{NAME}:{server}/compressed", network)


@pytest.mark.parametrize("page", DRIPS)
def test_a_server_that_answers_byte_by_byte_does_not_hold_us(
    server: int, network: Network, page: str
) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match="does not answer as it should"):
        get(f"https://{NAME}:{server}{page}", network, timeout=0.5)
    assert time.monotonic() - began < 3


def test_a_closed_port_is_unreachable(network: Network) -> None:
    with socket.socket() as taken:
        taken.bind((str(LOCAL), 0))
        with pytest.raises(Unreachable, match=NAME):
            get(f"https://{NAME}:{taken.getsockname()[1]}/", network, timeout=2)


def test_the_relay_shows_its_key_when_it_is_asked_to_switch(server: int, network: Network) -> None:
    assert relay_key(f"https://{NAME}:{server}", network) == KEY


def test_a_server_without_relay_shows_none(server: int, network: Network) -> None:
    with pytest.raises(Unreachable, match="no relay key"):
        relay_key(f"https://{NAME}:{server}/elsewhere", network)


Answer = Callable[[bytes], bytes]


@contextmanager
def dns_server(answer: Answer) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((str(LOCAL), 0))
        listening.settimeout(5)

        def serve() -> None:
            query, asker = listening.recvfrom(512)
            listening.sendto(answer(query), asker)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def header(query: bytes, flags: int, records: int) -> bytes:
    return query[:2] + struct.pack("!HHHHH", flags, 1, records, 0, 0)


def record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def asked(answer: Answer) -> IPv4Address:
    with dns_server(answer) as port:
        return resolve(NAME, LOCAL, port=port)


def test_an_alias_on_the_way_is_stepped_over() -> None:
    alias = record(5, b"\x03www\x07cronova\x04test\x00")
    address = record(1, IPv4Address("203.0.113.10").packed)
    found = asked(lambda q: header(q, 0x8180, 2) + q[12:] + alias + address)
    assert found == IPv4Address("203.0.113.10")


@pytest.mark.parametrize(
    ("reason", "answer"),
    [
        ("no such name", lambda q: header(q, 0x8183, 0) + q[12:]),
        ("no A record", lambda q: header(q, 0x8180, 0) + q[12:]),
        ("something else", lambda q: header(b"\0\0", 0x8180, 0) + q[12:]),
        ("something else", lambda q: header(q, 0x8180, 1) + b"\x04evil\x00\0\1\0\1"),
        ("has no address", lambda q: header(q, 0x8180, 1) + q[12:] + record(1, b"1234")[:-2]),
        ("has no address", lambda _q: b"\x00"),
    ],
)
def test_an_answer_without_an_address_is_an_error(reason: str, answer: Answer) -> None:
    with pytest.raises(Unreachable, match=reason):
        asked(answer)


def test_a_silent_server_is_an_error_in_time() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((str(LOCAL), 0))
        with pytest.raises(Unreachable, match="does not answer"):
            resolve(NAME, LOCAL, timeout=0.1, port=silent.getsockname()[1])
