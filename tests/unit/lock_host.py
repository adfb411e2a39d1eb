"""This machine as a host that can be locked, in a folder of the test's own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.access import lock_check
from infra.access.login import Login
from infra.host import lock


class LocalSession:
    """What the lock needs of a session; commands run here, as root's would there."""

    def __init__(self, token: str = "") -> None:
        self.login = Login(
            name="vps", address="::1", user="root", known_hosts=Path("/none"), lock_token=token
        )

    def as_root_unchecked(self, command: str) -> str:
        return command

    def check(self, step: str, command: str, *, stdin: bytes, **_: object) -> bytes:
        return subprocess.run(
            ["sh", "-c", command], input=stdin, capture_output=True, check=True
        ).stdout


def lock_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All locks of this test lie in `folder`."""
    for module in (lock, lock_check):
        monkeypatch.setattr(module, "LOCK_FOLDER", str(folder))
    return folder


@contextmanager
def at_work(command: str, token: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A change that has begun, and reads its input until the block ends."""
    change = subprocess.Popen(
        ["sh", "-c", f"exec {lock_check.checked(command, token)}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with change:
        yield change
