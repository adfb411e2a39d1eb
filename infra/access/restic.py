"""A restic repository: snapshots go in, come out, and expire.

Options, JSON output and exit codes as in restic 0.19's documentation ("Scripting").
"""

import ctypes
import json
import os
import re
import signal
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sh
from pydantic import BaseModel, SecretStr

from infra.errors import BackupFailed, RepositoryUnavailable
from infra.images.tools import restic_path
from infra.model.site import Retention

#: Seconds; a command that takes longer hangs.
TIMEOUT = 3600
#: How long restic waits for the lock of another restic.
PATIENCE = "2m"
_LOCKED, _MISSING = 11, 10
_HINTS = {
    _MISSING: "Is its disk mounted, and is backup.repository right in the site file? A new place, after "
    "the first one, is made by hand: restic -r PLACE init, with the same password.",
    _LOCKED: "Another restic is at work there. Wait for it, then try again.",
    12: "The secret that backup.password names is not this repository's password.",
}
_REASONS = {
    _MISSING: "There is no restic repository",
    _LOCKED: "The restic repository is locked",
    12: "The password does not open the restic repository",
}


class Stored(BaseModel):
    """A snapshot in the repository."""

    id: str
    time: datetime
    tags: tuple[str, ...] = ()


class Origin(BaseModel):
    """What restic writes down beside the data: whose it is, from when, and our tags."""

    host: str
    time: datetime
    tags: tuple[str, ...]


class RepositoryMissing(RepositoryUnavailable):
    """There is nothing at that place: new, or its disk is not mounted."""


class Repository:
    """One repository; `location` as restic takes it, `credentials` as its backends read them.

    Every method raises RepositoryUnavailable when the repository can't be opened. Password and
    credentials reach restic by its environment, so that no process list shows them.
    """

    def __init__(
        self,
        location: str,
        password: SecretStr,
        cache: Path,
        credentials: Mapping[str, SecretStr] | None = None,
    ) -> None:
        self.location = location
        self._secrets = {**(credentials or {}), "RESTIC_PASSWORD": password}
        self._cache = cache

    def __str__(self) -> str:
        return self.location

    def create(self) -> None:
        """Make a new, empty repository."""
        self._run("init")

    def snapshots(self, tags: Iterable[str] = (), timeout: int = TIMEOUT) -> tuple[Stored, ...]:
        """The snapshots that carry all `tags`, oldest first; `timeout` in seconds."""
        found = json.loads(self._run("snapshots", *_tagged(tags), timeout=timeout))
        return _in_order(found)

    def backup(self, folder: Path, origin: Origin) -> str:
        """Store the files in `folder` (its own path does not count); the new snapshot's id.

        Raises BackupFailed when a file could not be read.
        """
        time = origin.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        tags = [option for tag in origin.tags for option in ("--tag", tag)]
        output = self._run(
            "backup", "--host", origin.host, "--time", time, *tags, ".", folder=folder
        )
        return str(json.loads(output.splitlines()[-1])["snapshot_id"])

    def forget(self, tags: Iterable[str], retention: Retention) -> tuple[Stored, ...]:
        """Let all but what `retention` keeps expire, the newest never; what stays, oldest first."""
        keep = retention.model_dump()
        options = [option for name, n in keep.items() for option in (f"--keep-{name}", str(n))]
        grouped = ("--group-by", "host", "--keep-last", "1", "--prune")
        output = self._run("forget", *_tagged(tags), *grouped, *options)
        # Without a snapshot restic prints nothing; after the first line prune may follow.
        groups = json.loads(output.splitlines()[0]) if output else []
        return _in_order([snapshot for group in groups for snapshot in group["keep"]])

    def restore(self, snapshot: str, target: Path) -> None:
        """Restore a snapshot's files into `target`. Raises BackupFailed for damaged data."""
        try:
            self._run("restore", snapshot, "--target", str(target))
        except _Damaged as error:
            raise BackupFailed(
                f"{self}: snapshot {snapshot[:8]} could not be restored: {error.message}"
            ) from error

    def _run(self, *arguments: str, folder: Path | None = None, timeout: int = TIMEOUT) -> str:
        """Run restic; a lock that a killed restic left behind is removed, a live one waited for."""
        try:
            return self._once(*arguments, folder=folder, timeout=timeout)
        except _Locked:
            self._once("unlock")  # stale ones only
            patient = ("--retry-lock", PATIENCE)
            return self._once(*arguments, *patient, folder=folder, timeout=timeout)

    def _once(self, *arguments: str, folder: Path | None = None, timeout: int = TIMEOUT) -> str:
        restic = sh.Command(str(restic_path()))
        try:
            return str(
                restic(
                    *arguments,
                    "--json",
                    _env=self._environment(),
                    _cwd=str(folder or "/"),
                    _tty_out=False,
                    _timeout=timeout,
                    _preexec_fn=_die_with_parent,
                )
            )
        except sh.TimeoutException as error:
            raise RepositoryUnavailable(
                f"{self}: restic {arguments[0]} did not end within {timeout} s.",
                "Does its server answer, is its disk mounted?",
            ) from error
        except sh.ErrorReturnCode as error:
            raise self._error(arguments[0], error) from None

    def _environment(self) -> dict[str, str]:
        # A person's own RESTIC_… would go before ours: a password file, say, before the password.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RESTIC_")}
        return inherited | {
            "RESTIC_REPOSITORY": self.location,
            **{name: secret.get_secret_value() for name, secret in self._secrets.items()},
            "RESTIC_CACHE_DIR": str(self._cache),
            "TZ": "UTC",
        }

    def _error(self, command: str, error: Any) -> Exception:
        code = int(error.exit_code)
        said = _first_error(error.stderr)
        if code in _REASONS:
            kind = {_MISSING: RepositoryMissing, _LOCKED: _Locked}.get(code, RepositoryUnavailable)
            return kind(f"{_REASONS[code]} {self}.", _HINTS[code])
        if code == 3:
            return BackupFailed(f"{self}: restic {command} could not read every file: {said}")
        kind = _Damaged if _DAMAGE.search(error.stderr) else RepositoryUnavailable
        return kind(
            f"{self}: restic {command} failed with exit code {code}: {said}",
            "Is there space, is the place mounted, does its server answer?",
        )


#: What restic 0.19 says of damaged or missing data; all else may be this machine's own fault.
_DAMAGE = re.compile(
    rb"nonce is invalid|ciphertext verification failed|is too short|invalid data returned"
    rb"|not found in repository|is damaged|(Load|ReadFull)\(\S+ [^\n]*(no such file|does not exist)"
)


class _Locked(RepositoryUnavailable):
    pass


class _Damaged(RepositoryUnavailable):
    pass


def _tagged(tags: Iterable[str]) -> list[str]:
    together = ",".join(tags)
    return ["--tag", together] if together else []


def _in_order(found: list[dict[str, Any]]) -> tuple[Stored, ...]:
    return tuple(sorted(map(Stored.model_validate, found), key=lambda stored: stored.time))


def _first_error(stderr: bytes) -> str:
    """The first error that restic reported, from which the others follow; at most 300 characters."""
    lines = stderr.decode(errors="replace").strip().splitlines() or ["(no message)"]
    told = [message for message in map(_error_message, lines) if message]
    return (told or lines[-1:])[0].removeprefix("Fatal: ")[:300]


def _error_message(line: str) -> str:
    """Of a line of JSON; empty for any other."""
    try:
        parsed = json.loads(line)
        return str(parsed.get("message") or parsed["error"]["message"])
    except (ValueError, AttributeError, KeyError, TypeError):
        return ""


def _die_with_parent() -> None:
    """In the child: end when the process that started us is killed (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
