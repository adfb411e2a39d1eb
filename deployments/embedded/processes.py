"""Processes that outlive the command that started them, found again beyond doubt.

A pid alone is not a name: numbers are used again. A record holds the pid and the start time
of the process (clock ticks since boot), which together are.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError


class Record(BaseModel):
    """What a pid file holds."""

    pid: int
    started: int
    site: str

    def alive(self) -> bool:
        return start_time(self.pid) == self.started


def start_detached(command: list[str], environment: dict[str, str], log: Path) -> int:
    """Start `command` in a session of its own, its output in `log` (the last one kept); its pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".old.log"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    # It outlives us: its end is not ours to wait for, and Popen must not complain about that.
    process.returncode = 0
    return process.pid


def start_time(pid: int) -> int | None:
    """When a process started (clock ticks since boot); None where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def write_record(path: Path, pid: int, site: str) -> None:
    started = start_time(pid)
    if started is not None:
        path.write_text(Record(pid=pid, started=started, site=site).model_dump_json())


def read_record(path: Path) -> Record | None:
    """The process of a pid file while it lives; None otherwise."""
    try:
        record = Record.model_validate_json(path.read_text())
    except (OSError, ValidationError):
        return None
    return record if record.alive() else None


def carrying(variable: str, value: str) -> list[int]:
    """Pids of all processes with this environment variable, without this one and its parents."""
    wanted = f"{variable}={value}".encode()
    own = _ancestors(os.getpid())
    found = []
    for pid in set(_all_pids()) - own:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in environment:
            found.append(pid)
    return found


def stop(pids: Iterable[int], patience: float = 15.0) -> None:
    """End processes: SIGTERM, and SIGKILL for those that live after `patience` seconds."""
    known = {pid: started for pid in pids if (started := start_time(pid)) is not None}
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for pid, started in known.items():
            _signal(pid, started, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and _living(known):
            time.sleep(0.1)
        known = _living(known)


def _living(known: dict[int, int]) -> dict[int, int]:
    return {pid: started for pid, started in known.items() if start_time(pid) == started}


def _signal(pid: int, started: int, number: signal.Signals) -> None:
    if start_time(pid) == started:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def descendants(pid: int) -> set[int]:
    """A process and all that stem from it."""
    parents = {child: parent for child in _all_pids() if (parent := _parent(child)) is not None}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _ancestors(pid: int) -> set[int]:
    found = set()
    while pid > 1:
        found.add(pid)
        pid = _parent(pid) or 0
    return found


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
