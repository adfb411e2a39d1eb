"""HTTPS to a site's names: with its resolver, its extra root, and always a verified certificate."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from infra.access.names import resolve
from infra.errors import Unreachable
from infra.model.site import Network

LIMIT = 1024 * 1024
RELAY_KEY = "derp-public-key"
KEY_PREFIX = "nodekey:"


def get(url: str, network: Network, timeout: float = 10, limit: int = LIMIT) -> httpx.Response:
    """GET `url` within `timeout` seconds, following no redirect.

    Raises Unreachable, also for a body over `limit` bytes, and for a compressed one: it may hold any number.
    """
    with _answer(url, network, timeout) as answer:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise Unreachable(f"{url} sends a compressed body, unasked.", "Look at that server.")
        body = bytearray()
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > limit:
                raise Unreachable(f"{url} sends more than {limit} bytes.", "Look at that server.")
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=bytes(body), request=answer.request
        )


def relay_key(url: str, network: Network, timeout: float = 10) -> str:
    """Public key (64 hex digits) of the relay that headscale embeds at `url` (https://hs.…).

    It stands in the answer to DERP's upgrade request. Raises Unreachable when there is none.
    """
    upgrade = {"Connection": "Upgrade", "Upgrade": "DERP"}
    with _answer(f"{url}/derp", network, timeout, upgrade) as answer:
        key = str(answer.headers.get(RELAY_KEY, "")).removeprefix(KEY_PREFIX)
    if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
        raise Unreachable(
            f"{url}/derp shows no relay key (status {answer.status_code}).",
            "Does Headscale run there, with its own relay on?",
        )
    return key


@contextmanager
def _answer(
    url: str, network: Network, timeout: float, headers: dict[str, str] | None = None
) -> Iterator[httpx.Response]:
    target = httpx.URL(url)
    request = _request(target, network, headers or {})
    try:
        with (
            httpx.Client(verify=_trust(network), timeout=timeout, trust_env=False) as client,
            _cut_off(request, timeout),
        ):
            answer = client.send(request, stream=True)
            try:
                yield answer
            finally:
                answer.close()
    except (httpx.HTTPError, OSError) as error:
        raise Unreachable(
            f"{url} does not answer as it should: {error or type(error).__name__}.",
            f"Does {target.host} point to the host, is the port open, is the certificate valid?",
        ) from error


@contextmanager
def _cut_off(request: httpx.Request, seconds: float) -> Iterator[None]:
    """End the request's connection after `seconds`. httpx's own timeouts begin anew with each byte."""
    late = threading.Event()
    sockets: list[socket.socket] = []

    def note(event: str, details: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            sockets.append(details["return_value"].get_extra_info("socket"))
            if late.is_set():
                end()

    def end() -> None:
        late.set()
        for opened in sockets[-1:]:
            with suppress(OSError):  # closed already
                opened.shutdown(socket.SHUT_RDWR)

    request.extensions = {**request.extensions, "trace": note}
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _request(target: httpx.URL, network: Network, headers: dict[str, str]) -> httpx.Request:
    """To the resolved address; the names in certificate and Host header stay the URL's."""
    sent = {"Host": target.netloc.decode(), "Accept-Encoding": "identity", **headers}
    if network.resolver is None:
        return httpx.Request("GET", target, headers=sent)
    address = resolve(target.host, network.resolver)
    return httpx.Request(
        "GET",
        target.copy_with(host=str(address)),
        headers=sent,
        extensions={"sni_hostname": target.host},
    )


def _trust(network: Network) -> ssl.SSLContext:
    trust = ssl.create_default_context()
    if network.extra_root is not None:
        trust.load_verify_locations(cafile=str(network.extra_root))
    return trust
