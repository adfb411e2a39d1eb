"""An open connection: commands on a host, with timeouts and bounded output."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from shlex import quote

from paramiko import Channel, ChannelException, SSHException

from infra.access import silence
from infra.access.lock_check import checked, refused
from infra.access.login import Login
from infra.access.remote_command import RemoteCommand
from infra.access.silence import WatchedTransport
from infra.errors import StepFailed, Unreachable

MEBIBYTE = 1024 * 1024
#: Characters of a command's last lines in an error: they end in states, logs and reports.
LONGEST = 2_000
#: Seconds for opening a connection, or a command's channel in it.
CONNECT_TIMEOUT = 10


#: sudo with a password from the first line of standard input; what follows is the command's. It is
#: tried once, by itself: sudo would take a script's next lines for further tries. Whether it is asked
#: for again is sudo's affair: what is left before the mark is read away, or a shell would print it.
_ASKED = """\
IFS= read -r password
sudo -n true 2>/dev/null && exec sudo -n -- {command}
printf "%s\\n" "$password" | sudo -S -k -p "" true || exit 1
{{ printf "%s\\n" "$password" {mark}; exec cat; }} | sudo -S -k -p "" -- {marked}"""
_MARK = "meshkeeper:the-command"
_AFTER_MARK = 'until [ "$line" = {mark} ]; do IFS= read -r line || exit 1; done; exec {command}'
_SUDO_REFUSED = re.compile(r"sudo: (a password is required|\d+ incorrect password attempt)")
_ASKING = "sh -c 'IFS= read -r password"


@dataclass(frozen=True)
class Output:
    """What a command left: `stdout` is its beginning up to the limit, `dropped` bytes followed."""

    status: int
    stdout: bytes
    stderr: bytes
    dropped: int = 0


class Session:
    """An open connection. May be used by several threads (sshd allows about ten commands at once)."""

    def __init__(self, login: Login, transport: WatchedTransport) -> None:
        self.login = login
        self.round_trips = 0
        self._transport = transport

    @property
    def is_open(self) -> bool:
        return bool(self._transport.is_active())

    def by_lock(self, token: str) -> "Session":
        """The same connection, over which each change checks that this lock is still the run's."""
        return Session(self.login.model_copy(update={"lock_token": token}), self._transport)

    def as_root(self, command: str) -> str:
        """`command` (one simple command, no shell syntax) with root's rights for this user.

        In a run that holds the host's lock it runs only while the lock is still that run's.
        """
        token = self.login.lock_token
        return self.as_root_unchecked(checked(command, token) if token else command)

    def as_root_unchecked(self, command: str) -> str:
        """The same for what has to run whoever holds the lock: asking for the lock itself."""
        if self.login.user == "root":
            return command
        if self.login.sudo_password is None:
            return f"sudo -n -- {command}"
        marked = f"sh -c {quote(_AFTER_MARK.format(mark=_MARK, command=command))}"
        return f"sh -c {quote(_ASKED.format(command=command, mark=_MARK, marked=marked))}"

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
            status, errors = self._ended(running, step)
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
            status, errors = self._ended(running, step)
        except (StepFailed, Unreachable) as error:
            raise self._located(error, step) from error
        finally:
            running.close()
        if status != 0:
            raise self._failed(step, status, errors or bytes(kept))
        return bytes(kept)

    def receive(  # noqa: PLR0913 - like `run`, and the step it is for
        self, step: str, command: str, limit: int, stdin: bytes = b"", timeout: float = 900
    ) -> Iterator[bytes]:
        """Stream standard output; StepFailed beyond `limit` bytes or when the command fails."""
        running = self._start(step, command, [stdin], timeout)
        received = 0
        try:
            for data in running.output():
                received += len(data)
                if received > limit:
                    break
                yield data
            else:
                status, errors = self._ended(running, step)
        except (StepFailed, Unreachable) as error:
            raise self._located(error, step) from error
        finally:
            running.close()
        if received > limit:
            raise self._too_long(step, limit)
        if status != 0:
            raise self._failed(step, status, errors)

    def way_to(self, other: Login) -> Channel:
        """A bare connection from this host to another's sshd. Raises Unreachable."""
        try:
            return self._transport.open_channel(
                "direct-tcpip", (other.address, other.port), ("", 0), timeout=CONNECT_TIMEOUT
            )
        except ChannelException as error:
            raise Unreachable(
                f"The jump host {self.login} opens no connection to {other}: {error.text}.",
                "Is that machine on, is its address right as seen from the jump host, and does the "
                "jump host's sshd allow it (AllowTcpForwarding, PermitOpen)?",
            ) from error
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(
                f"The jump host {self.login} gave no answer for a connection to {other}: "
                f"{error or type(error).__name__}.",
                "Is the machine on, and its address right as seen from the jump host?",
            ) from error

    def _start(
        self, step: str, command: str, chunks: Iterable[bytes], timeout: float
    ) -> RemoteCommand:
        self.round_trips += 1
        try:
            if self.login.sudo_password and command.startswith(_ASKING):
                password = self.login.sudo_password.get_secret_value()
                chunks = chain([f"{password}\n".encode()], chunks)
            channel = self._transport.open_session(timeout=CONNECT_TIMEOUT)
            return RemoteCommand(channel, command, chunks, timeout)
        except StepFailed as error:
            raise self._located(error, step) from error
        except (SSHException, EOFError, OSError) as error:
            raise self._broken(step) from error

    def _ended(self, running: RemoteCommand, step: str) -> tuple[int, bytes]:
        """Raises LockLost where the host did not begin, since the lock is no longer this run's."""
        status, errors = running.end()
        lost = self.login.lock_token and refused(self.login.name, step, status, errors)
        if lost:
            raise lost
        return status, errors

    def _located(self, error: StepFailed | Unreachable, step: str) -> StepFailed | Unreachable:
        if isinstance(error, Unreachable):
            return self._broken(step)
        return StepFailed(f"{self.login.name}: {step}: {error.message}", error.hint)

    def _broken(self, step: str) -> Unreachable:
        silent = self._transport.went_silent
        how = f"went silent for {silence.END_AFTER} s" if silent else "broke"
        return Unreachable(
            f"{self.login.name}: {step}: the connection to {self.login} {how}.",
            "Is the host up, and the network on both ends? Then try again.",
        )

    def _failed(self, step: str, status: int, output: bytes) -> StepFailed:
        last = "\n".join(output.decode(errors="replace").strip().splitlines()[-8:])[-LONGEST:]
        hint = self._sudo_hint() if _SUDO_REFUSED.search(last) else ""
        return StepFailed(
            f"{self.login.name}: {step} failed with exit status {status}: {last or '(no output)'}",
            hint,
        )

    def _sudo_hint(self) -> str:
        place = f"hosts.{self.login.name}.sudo_password"
        if self.login.sudo_password:
            return f"Is the secret that {place} names the password of {self.login.user}?"
        return f"Name the password of {self.login.user} as a secret in {place}."

    def _too_long(self, step: str, limit: int) -> StepFailed:
        return StepFailed(
            f"{self.login.name}: {step}: the host sent more than {limit} bytes.",
            "That is more than it ever should: look at the host before you go on.",
        )
