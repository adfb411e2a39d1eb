"""Pins a host's key: the only place where a key that is not yet known is looked at."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from paramiko import Channel, HostKeys, PKey, SSHException, Transport

from infra.access.anchor import write_private
from infra.access.login import Login
from infra.access.session import CONNECT_TIMEOUT
from infra.access.ssh import connect, host_key_mismatch, unreachable
from infra.errors import BadInput

#: One connection each, in this order, until the expected fingerprint is seen.
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")

Dial = Callable[[], socket.socket | Channel]


def pin_host_key(login: Login, expected: str | None) -> bool:
    """Pin the key with the fingerprint `expected` (`SHA256:…`); True if that was news.

    Connects only when another key is pinned, or none. Raises BadInput (nothing pinned and no
    fingerprint given: says which one was seen), HostKeyMismatch, Unreachable.
    """
    pinned = _pinned_fingerprints(login)
    if pinned and expected in (None, *pinned):
        return False
    key = _matching_key(login, expected)
    if expected is None:
        raise BadInput(
            f"No host key is pinned for {login}. It shows {key.fingerprint}.",
            "Compare it with the fingerprint in the provider's console; if it is the same, write "
            f"it to hosts.{login.name}.host_key in the site file.",
        )
    if key.fingerprint != expected:
        raise host_key_mismatch(login, key.fingerprint, expected)
    pin(login, key)
    return True


def is_pinned(login: Login) -> bool:
    return bool(_pinned_fingerprints(login))


def shown_key(login: Login) -> PKey:
    """The key that the host shows now, whoever it is. Raises Unreachable."""
    return _matching_key(login, None)


def _pinned_fingerprints(login: Login) -> tuple[str, ...]:
    entry = _known_hosts(login).lookup(login.pinned_as)
    return tuple(key.fingerprint for key in entry.values()) if entry else ()


def _matching_key(login: Login, expected: str | None) -> PKey:
    """The host's key with that fingerprint, or else the first one it shows."""
    seen: list[PKey] = []
    with _dialing(login) as dial:
        for key_type in KEY_TYPES:
            key = _shown_key(login, dial, key_type)
            if key is None:
                continue
            if expected in (None, key.fingerprint):
                return key
            seen.append(key)
    if not seen:
        raise unreachable(login, SSHException("it offers no host key of a known type"))
    return seen[0]


@contextmanager
def _dialing(login: Login) -> Iterator[Dial]:
    """Opens connections to the host's sshd: bare ones, or through one login to its jump host."""
    if login.jump is None:
        yield partial(socket.create_connection, (login.address, login.port), CONNECT_TIMEOUT)
    else:
        with connect(login.jump) as jump:
            yield partial(jump.way_to, login)


def _shown_key(login: Login, dial: Dial, key_type: str) -> PKey | None:
    try:
        connected = dial()
    except OSError as error:
        raise unreachable(login, error) from error
    transport = Transport(connected)
    transport.banner_timeout = CONNECT_TIMEOUT
    transport.get_security_options().key_types = (key_type,)
    try:
        transport.start_client(timeout=CONNECT_TIMEOUT)
        return transport.get_remote_server_key()
    except SSHException as error:
        if "host key" in str(error).lower() or "no acceptable" in str(error).lower():
            return None
        raise unreachable(login, error) from error
    except (EOFError, OSError) as error:
        raise unreachable(login, error) from error
    finally:
        transport.close()


def pin(login: Login, key: PKey) -> None:
    """From now on the host must show this key, and no other."""
    hosts = _known_hosts(login)
    if login.pinned_as in hosts:
        del hosts[login.pinned_as]
    hosts.add(login.pinned_as, key.get_name(), key)
    lines = [
        f"{name} {kind} {hosts[name][kind].get_base64()}\n"
        for name in hosts
        for kind in hosts[name].keys()  # noqa: SIM118 - paramiko's mapping iterates otherwise
    ]
    write_private(login.known_hosts, "".join(lines).encode())


def _known_hosts(login: Login) -> HostKeys:
    return HostKeys(str(login.known_hosts) if login.known_hosts.exists() else None)
