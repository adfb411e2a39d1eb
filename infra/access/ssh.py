"""The one way to a host: SSH with a pinned host key, timeouts and bounded output."""

import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fabric import Config, Connection
from paramiko import BadHostKeyException, RejectPolicy, SSHException, Transport
from paramiko.ssh_exception import AuthenticationException, PasswordRequiredException
from pydantic import BaseModel, ConfigDict

from infra.access.anchor import known_hosts_path
from infra.access.remote_command import RemoteCommand
from infra.errors import BadInput, HostKeyMismatch, LoginRefused, StepFailed, Unreachable
from infra.model.site import Site
from infra.settings import Settings

MEBIBYTE = 1024 * 1024
#: Characters of a command's last lines in an error: they end in states, logs and reports.
LONGEST = 2_000
CONNECT_TIMEOUT = 10
KEEP_ALIVE = 15
#: Unanswered data ends the connection after this: SSH's own keep-alives wait for no answer.
DEAD_LINK_MILLISECONDS = 45_000

# Its threads print tracebacks for what arrives here as an exception anyway.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Login(BaseModel):
    """Who logs in where. `name` is the host's name in the site file, for messages."""

    model_config = ConfigDict(frozen=True)

    name: str
    address: str
    user: str
    known_hosts: Path
    port: int = 22
    key_file: Path | None = None

    @property
    def pinned_as(self) -> str:
        """The host's name in OpenSSH's known_hosts."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"

    def __str__(self) -> str:
        return f"{self.name} ({self.user}@{self.address}:{self.port})"


@dataclass(frozen=True)
class Output:
    """What a command left: `stdout` is its beginning up to the limit, `dropped` bytes followed."""

    status: int
    stdout: bytes
    stderr: bytes
    dropped: int = 0


class Session:
    """An open connection. May be used by several threads (sshd allows about ten commands at once)."""

    def __init__(self, login: Login, transport: Transport) -> None:
        self.login = login
        self.round_trips = 0
        self._transport = transport

    def as_root(self, command: str) -> str:
        """`command` (one simple command, no shell syntax) with root's rights for this user."""
        return command if self.login.user == "root" else f"sudo -n -- {command}"

    def run(
        self, command: str, stdin: bytes = b"", timeout: float = 60, limit: int = MEBIBYTE
    ) -> Output:
        """Run `command`, whatever its exit status; `limit` bounds standard output in bytes.

        Raises Unreachable when the connection breaks, StepFailed after `timeout` seconds.
        """
        return self._run(command.split(maxsplit=1)[0], command, stdin, timeout, limit)

    def _run(  # noqa: PLR0913 - like `run`, and the step it is for
        self, step: str, command: str, stdin: bytes, timeout: float, limit: int
    ) -> Output:
        running = self._start(step, command, [stdin], timeout)
        kept, dropped = bytearray(), 0
        try:
            for data in running.output():
                room = limit - len(kept)
                kept += data[:room]
                dropped += max(0, len(data) - room)
            status, errors = running.end()
        except (StepFailed, Unreachable) as error:
            raise self._located(error, step) from error
        finally:
            running.close()
        return Output(status, bytes(kept), errors, dropped)

    def check(  # noqa: PLR0913 - like `run`, and the step it is for
        self,
        step: str,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float = 60,
        limit: int = MEBIBYTE,
    ) -> bytes:
        """Standard output of a command that must succeed.

        Raises StepFailed with host, `step` and the last lines, also for output over `limit` bytes.
        """
        output = self._run(step, command, stdin, timeout, limit)
        if output.status != 0:
            raise self._failed(step, output.status, output.stderr or output.stdout)
        if output.dropped:
            raise self._too_long(step, limit)
        return output.stdout

    def send(self, step: str, command: str, chunks: Iterable[bytes], timeout: float = 900) -> bytes:
        """Stream `chunks` into a command that must succeed; returns up to 1 MiB of its output."""
        running = self._start(step, command, chunks, timeout)
        kept = bytearray()
        try:
            for data in running.output():
                kept += data[: MEBIBYTE - len(kept)]
            status, errors = running.end()
        except (StepFailed, Unreachable) as error:
            raise self._located(error, step) from error
        finally:
            running.close()
        if status != 0:
            raise self._failed(step, status, errors or bytes(kept))
        return bytes(kept)

    def receive(self, step: str, command: str, limit: int, timeout: float = 900) -> Iterator[bytes]:
        """Stream standard output; StepFailed beyond `limit` bytes or when the command fails."""
        running = self._start(step, command, [], timeout)
        received = 0
        try:
            for data in running.output():
                received += len(data)
                if received > limit:
                    break
                yield data
            else:
                status, errors = running.end()
        except (StepFailed, Unreachable) as error:
            raise self._located(error, step) from error
        finally:
            running.close()
        if received > limit:
            raise self._too_long(step, limit)
        if status != 0:
            raise self._failed(step, status, errors)

    def _start(
        self, step: str, command: str, chunks: Iterable[bytes], timeout: float
    ) -> RemoteCommand:
        self.round_trips += 1
        try:
            channel = self._transport.open_session(timeout=CONNECT_TIMEOUT)
            return RemoteCommand(channel, command, chunks, timeout)
        except StepFailed as error:
            raise self._located(error, step) from error
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(
                f"{self.login.name}: {step}: the connection to {self.login} broke.",
                "Is the host up? Then try again.",
            ) from error

    def _located(self, error: StepFailed | Unreachable, step: str) -> StepFailed | Unreachable:
        return type(error)(f"{self.login.name}: {step}: {error.message}", error.hint)

    def _failed(self, step: str, status: int, output: bytes) -> StepFailed:
        last = "\n".join(output.decode(errors="replace").strip().splitlines()[-8:])[-LONGEST:]
        return StepFailed(
            f"{self.login.name}: {step} failed with exit status {status}: {last or '(no output)'}"
        )

    def _too_long(self, step: str, limit: int) -> StepFailed:
        return StepFailed(
            f"{self.login.name}: {step}: the host sent more than {limit} bytes.",
            "That is more than it ever should: look at the host before you go on.",
        )


@contextmanager
def connect(login: Login) -> Iterator[Session]:
    """Log in by key, to a host whose key is pinned.

    Raises BadInput (no key pinned yet), HostKeyMismatch, LoginRefused (it does not take our
    key), Unreachable.
    """
    connection = _connection(login)
    try:
        transport = _opened(connection, login)
        yield Session(login, transport)
    finally:
        connection.close()


def admin_login(settings: Settings, site: Site, host_name: str) -> Login:
    """The login of the host's administrator. BadInput when the site has no such host."""
    host = site.hosts.get(host_name)
    if host is None:
        known = ", ".join(site.hosts)
        raise BadInput(f"The site {site.name} has no host {host_name!r}.", f"It has: {known}.")
    return Login(
        name=host_name,
        address=host.address,
        port=host.port,
        user=host.admin,
        key_file=settings.ssh_key.expanduser() if settings.ssh_key else None,
        known_hosts=known_hosts_path(settings, site.name),
    )


def first_login(settings: Settings, site: Site, host_name: str) -> Login:
    """The login that a new machine comes with."""
    login = admin_login(settings, site, host_name)
    return login.model_copy(update={"user": site.hosts[host_name].first_user})


def _connection(login: Login) -> Connection:
    # The site file is the truth about a host, so the user's ~/.ssh/config is not asked.
    connection = Connection(
        login.address,
        user=login.user,
        port=login.port,
        config=Config(overrides={"load_ssh_configs": False}),
        connect_timeout=CONNECT_TIMEOUT,
        connect_kwargs={
            "key_filename": [str(login.key_file)] if login.key_file else [],
            "allow_agent": login.key_file is None,
            "look_for_keys": login.key_file is None,
            "banner_timeout": CONNECT_TIMEOUT,
            "auth_timeout": CONNECT_TIMEOUT,
        },
    )
    # Fabric itself accepts any host key.
    connection.client.set_missing_host_key_policy(RejectPolicy())
    if login.known_hosts.exists():
        connection.client.load_host_keys(str(login.known_hosts))
    if connection.client.get_host_keys().lookup(login.pinned_as) is None:
        raise BadInput(
            f"No host key is pinned for {login}.",
            f"Write its fingerprint, as the provider shows it, to hosts.{login.name}.host_key, and "
            "run `meshkeeper provision`, which pins it.",
        )
    return connection


def _opened(connection: Connection, login: Login) -> Transport:
    try:
        connection.open()
    except BadHostKeyException as error:
        raise host_key_mismatch(login, error.key.fingerprint) from error
    except PasswordRequiredException as error:
        raise LoginRefused(
            f"The key {login.key_file} has a passphrase.",
            "Add it to an SSH agent (ssh-add) and leave MESHKEEPER_SSH_KEY empty.",
        ) from error
    except AuthenticationException as error:
        raise _login_refused(login) from error
    except (SSHException, EOFError, OSError) as error:
        if "No authentication methods" in str(error):
            raise _login_refused(login) from error
        raise unreachable(login, error) from error
    transport: Transport = connection.transport
    transport.set_keepalive(KEEP_ALIVE)
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_LINK_MILLISECONDS
        )
    return transport


def _login_refused(login: Login) -> LoginRefused:
    return LoginRefused(
        f"{login} does not accept our key ({login.key_file or 'SSH agent and ~/.ssh'}).",
        "Point MESHKEEPER_SSH_KEY to a key that this user's authorized_keys holds.",
    )


def unreachable(login: Login, error: Exception) -> Unreachable:
    """No SSH connection, with the reason that the network gave."""
    return Unreachable(
        f"No SSH connection to {login}: {error or type(error).__name__}.",
        "Is the machine on, are address and port right in the site file, does a firewall allow it?",
    )


def host_key_mismatch(login: Login, seen: str) -> HostKeyMismatch:
    """Both possible reasons, and how to tell which one it is."""
    return HostKeyMismatch(
        f"{login} shows the host key {seen}, which is not the one we know. Either the machine was "
        "installed anew, or somebody stands between you and it.",
        "Compare with the fingerprint in the provider's console. Only if it is the same, write it "
        f"to hosts.{login.name}.host_key in the site file and run `meshkeeper provision`.",
    )
