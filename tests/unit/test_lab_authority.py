"""The lab's certificates: what they are good for, and that they stay the same."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from deployments.lab.authority import Authority
from deployments.lab.homes import trusted


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def serve(directory: Path, authority: Authority, address: str) -> HTTPServer:
    """A server on 127.0.0.1 whose certificate is for `server.test` and `address`."""
    certificate, key = authority.issue("server.test", address)
    (directory / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    server = HTTPServer(("127.0.0.1", 0), Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def get(server: HTTPServer, root: Path) -> int:
    trust = ssl.create_default_context(cafile=root)
    with httpx.Client(verify=trust, trust_env=False) as client:
        return client.get(f"https://127.0.0.1:{server.server_port}/").status_code


def test_a_client_that_trusts_the_root_accepts_the_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = serve(tmp_path, authority, "127.0.0.1")
    try:
        assert get(server, authority.root_file) == 204
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("address", "foreign"), [("127.0.0.2", False), ("127.0.0.1", True)])
def test_a_wrong_address_or_a_foreign_root_is_refused(
    tmp_path: Path, address: str, foreign: bool
) -> None:
    authority = Authority(tmp_path / "ours")
    root = Authority(tmp_path / "theirs").root_file if foreign else authority.root_file
    server = serve(tmp_path, authority, address)
    try:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            get(server, root)
    finally:
        server.shutdown()
        server.server_close()


def test_the_root_outlives_the_program(tmp_path: Path) -> None:
    root = Authority(tmp_path).root_file.read_bytes()
    assert Authority(tmp_path).root_file.read_bytes() == root
    assert (tmp_path / "root.key").stat().st_mode & 0o077 == 0


def test_each_root_of_a_bundle_becomes_a_file_of_its_own(tmp_path: Path) -> None:
    one, two = (Authority(tmp_path / name).root_file.read_text() for name in ("one", "two"))
    (tmp_path / "roots.pem").write_text(one + two)
    files = trusted(tmp_path / "roots.pem")
    assert [file.content.decode() for file in files] == [one, two]
    assert len({file.path for file in files}) == 2
