"""The one way to a host: SSH with a pinned host key, timeouts and bounded output."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from fabric import Config, Connection
from paramiko import BadHostKeyException, RejectPolicy, SSHException

from infra.access.login import Login
from infra.access.offered_keys import OfferedKeys
from infra.access.session import CONNECT_TIMEOUT, Session
from infra.access.silence import WatchedTransport
from infra.errors import BadInput, CouldNotRun, HostKeyMismatch, LoginRefused, Unreachable

# Its threads print tracebacks for what arrives here as an exception anyway.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@contextmanager
def connect(
    login: Login, transport: Callable[..., WatchedTransport] = WatchedTransport
) -> Iterator[Session]:
    """Log in by key, to a host whose key is pinned; `transport` makes the connection's transport.

    Through its jump host where it has one, to which all of this applies as well: its own key, its
    own login. The session's login names the one key that it was done by. Raises BadInput (no key
    pinned yet, or ours can't be read), HostKeyMismatch, LoginRefused (it does not take our key),
    CouldNotRun (the jump host does not, or ours has a passphrase that nobody knows), Unreachable.
    """
    with ExitStack() as stack:
        connection = _connection(login, transport)
        # Not fabric's own end, which closes nothing where connecting failed.
        stack.enter_context(connection.client)
        if login.jump:
            connection.connect_kwargs["sock"] = _jump(login.jump, stack).way_to(login)
        yield Session(*_opened(connection, login))


def _jump(login: Login, stack: ExitStack) -> Session:
    try:
        return stack.enter_context(connect(login))
    except LoginRefused as error:
        # No LoginRefused, after which another user's name is tried on the host: it was not asked.
        raise CouldNotRun(error.message, error.hint) from error


def _connection(login: Login, transport: Callable[..., WatchedTransport]) -> Connection:
    # The site file is the truth about a host, so the user's ~/.ssh/config is not asked.
    connection = Connection(
        login.address,
        user=login.user,
        port=login.port,
        config=Config(overrides={"load_ssh_configs": False}),
        connect_timeout=CONNECT_TIMEOUT,
        connect_kwargs={
            "auth_strategy": OfferedKeys(login),
            "banner_timeout": CONNECT_TIMEOUT,
            "auth_timeout": CONNECT_TIMEOUT,
            "transport_factory": transport,
        },
    )
    # Fabric itself accepts any host key.
    connection.client.set_missing_host_key_policy(RejectPolicy())
    if login.known_hosts.exists():
        connection.client.load_host_keys(str(login.known_hosts))
    if connection.client.get_host_keys().lookup(login.pinned_as) is None:
        raise BadInput(
            f"No host key is pinned for {login}.",
            f"`meshkeeper provision` pins it, by the fingerprint at hosts.{login.name}.host_key: as the "
            "provider's console shows it.",
        )
    return connection


def _opened(connection: Connection, login: Login) -> tuple[Login, WatchedTransport]:
    try:
        used: Login = connection.open()
    except BadHostKeyException as error:
        raise host_key_mismatch(
            login, error.key.fingerprint, error.expected_key.fingerprint
        ) from error
    except (SSHException, EOFError, OSError) as error:
        raise unreachable(login, error) from error
    transport: WatchedTransport = connection.transport
    transport.watch()
    return used, transport


def unreachable(login: Login, error: Exception) -> Unreachable:
    """No SSH connection, with the reason that the network gave."""
    # Of paramiko's own errors the number is None, and says nothing.
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unreachable(
        f"No SSH connection to {login}: {reason}.",
        "Is the machine on, are address and port right in the site file, does a firewall allow it? "
        "After failed logins fail2ban may have banned your address for an hour.",
    )


def host_key_mismatch(login: Login, seen: str, expected: str) -> HostKeyMismatch:
    """Both fingerprints and both possible reasons, and how to tell which one it is."""
    return HostKeyMismatch(
        f"{login} shows the host key {seen}, expected is {expected}. Either the machine was "
        "installed anew, or somebody stands between you and it.",
        "Compare with the fingerprint in the provider's console. Only if it is the same, write it "
        f"to hosts.{login.name}.host_key in the site file and run `meshkeeper provision`.",
    )
