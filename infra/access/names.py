"""Addresses of names: by the system's resolver, or by one DNS server that a site states."""

import secrets
import socket
import struct
from ipaddress import IPv4Address, ip_address

from infra.errors import Unreachable

QUERY = struct.Struct("!HHHHHH")
RECORD = struct.Struct("!HHIH")
A, IN = 1, 1
RECURSION_DESIRED = 0x0100
ATTEMPTS = 3


def addresses(name: str, server: IPv4Address | None) -> set[str]:
    """The addresses of a name (an address is its own), asked of `server` or of the system.

    Empty when there is none, or nobody answers.
    """
    try:
        return {str(ip_address(name))}
    except ValueError:
        pass
    try:
        if server:
            return {str(resolve(name, server))}
        return {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError, Unreachable):
        return set()


def resolve(name: str, server: IPv4Address, timeout: float = 2, port: int = 53) -> IPv4Address:
    """The first A record of `name` (RFC 1035, over UDP). Raises Unreachable, also for no record."""
    number = secrets.randbits(16)
    question = _question(name)
    header = QUERY.pack(number, RECURSION_DESIRED, 1, 0, 0, 0)
    answer = _asked(header + question, (str(server), port), timeout)
    try:
        return _first_address(answer, number, question)
    except (struct.error, IndexError, ValueError) as error:
        raise Unreachable(
            f"The DNS server {server} has no address for {name} ({error}).",
            "Is the name's A record there? Is network.resolver right in the site file?",
        ) from error


def _question(name: str) -> bytes:
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    encoded = b"".join(bytes([len(label)]) + label for label in labels)
    return encoded + b"\0" + struct.pack("!HH", A, IN)


def _asked(message: bytes, server: tuple[str, int], timeout: float) -> bytes:
    """The answer's datagram. A connected socket takes datagrams from this server only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        asking.connect(server)
        for _ in range(ATTEMPTS):
            try:
                asking.send(message)
                return asking.recv(4096)
            except OSError as error:
                reason = error
    raise Unreachable(
        f"The DNS server {server[0]} does not answer ({reason}).",
        "Is it up, and is network.resolver right in the site file?",
    )


def _first_address(answer: bytes, number: int, question: bytes) -> IPv4Address:
    seen, flags, _, records, _, _ = QUERY.unpack_from(answer)
    if seen != number or not answer[QUERY.size :].startswith(question):
        raise ValueError("it answered something else")
    if code := flags & 0x000F:
        raise ValueError("no such name" if code == 3 else f"DNS error {code}")
    at = QUERY.size + len(question)
    for _ in range(records):
        at = _after_name(answer, at)
        kind, family, _ttl, length = RECORD.unpack_from(answer, at)
        at += RECORD.size
        if (kind, family, length) == (A, IN, 4):
            return IPv4Address(answer[at : at + 4])
        at += length
    raise ValueError("no A record")


def _after_name(answer: bytes, at: int) -> int:
    """A name ends with a zero byte or with a pointer of two bytes."""
    while (length := answer[at]) and length < 0xC0:
        at += length + 1
    return at + (2 if length >= 0xC0 else 1)
