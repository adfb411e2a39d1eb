"""Which TCP ports of a machine answer from here."""

import errno
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from infra.errors import Unreachable

#: Seconds. A firewall that drops says nothing.
PATIENCE = 3
AT_ONCE = 16
#: What is wrong on our side: it says nothing of a port. (ENETDOWN, no route at all.)
_OURS = (errno.ENETUNREACH, errno.ENETDOWN)


def open_ports(address: str, ports: Sequence[int]) -> frozenset[int]:
    """Those that accept a connection, which is closed at once. Raises Unreachable."""
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(
            f"{address} has no address here: {error}.", "Is the name right in the site file?"
        ) from error
    target = str(found[0][4][0])
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = threads.map(lambda port: _answers(target, port), ports)
        return frozenset(port for port, yes in zip(ports, answers, strict=True) if yes)


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=PATIENCE):
            return True
    except OSError as error:
        if error.errno in _OURS:
            raise Unreachable(
                f"This machine has no way to {address}: {error.strerror}.", "Is it online?"
            ) from error
        return False
