"""Runs on the host (standard library only): answers `report` and `fetch ID`, and refuses all else.

Two ways lead here. The admin feeds it to python3 as root, with the request as arguments. And it is
the login shell and the forced command of an account that can do nothing else: there SSH's own
request is read, and passed on to root by a sudo rule for these two requests alone. Its last line,
the call of `enter`, is written by infra.planning.host_backup.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO

DOCKER = "/usr/bin/docker"
SIDECAR = "headscale-backup"
SNAPSHOT = re.compile(r"([0-9]{8}T[0-9]{6}Z)\.tar")
REQUEST = re.compile(rb"report|fetch ([0-9]{8}T[0-9]{6}Z)")
REFUSED = "refused: this program knows 'report' and 'fetch ID', as in 'fetch 20261123T120000Z'"
#: Newest snapshots that are told; a year of hourly ones would be 8,760.
MOST = 10_000
#: Characters that docker may say.
MOST_SAID = 1024 * 1024


def enter(folder: str, program: str) -> None:
    """As root answer the arguments; as anybody else let root answer what SSH was asked for."""
    if os.geteuid() == 0:
        answer(Path(folder), b" ".join(map(os.fsencode, sys.argv[1:])))
    else:
        request = os.environb.get(b"SSH_ORIGINAL_COMMAND", b"")
        parsed(request)
        words = request.decode().split(" ")
        os.execv("/usr/bin/sudo", ["sudo", "-n", "--", program, *words])  # noqa: S606


def answer(folder: Path, request: bytes) -> None:
    snapshot = parsed(request)
    if snapshot is None:
        print(json.dumps(report(folder)))
    else:
        fetch(folder, snapshot)


def parsed(request: bytes) -> "str | None":
    """The snapshot to fetch, None for a report. Exits with one sentence for anything else."""
    found = REQUEST.fullmatch(request)
    if found is None:
        sys.exit(REFUSED)
    return found[1].decode() if found[1] else None


def fetch(folder: Path, snapshot: str) -> None:
    try:
        with opened(folder / f"{snapshot}.tar") as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)
    except OSError as error:
        sys.exit(f"snapshot {snapshot} can't be read: {error.strerror}")


def report(folder: Path) -> "dict[str, object]":
    """A fresh snapshot, and what is there: infra.backup.collect.HostReport."""
    last_error = beginning(folder / "last-error")  # before a success of ours removes it
    fresh = docker("exec", SIDECAR, "python3", "/backup/snapshot.py", timeout=120)
    state = docker("inspect", "-f", "{{json .State}}", SIDECAR, timeout=20)
    sidecar = json.loads(state.stdout) if state.returncode == 0 else {}
    return {
        "fresh": fresh.stdout.strip() if fresh.returncode == 0 else None,
        "fresh_error": fresh.stderr.strip()[-500:] if fresh.returncode else "",
        "snapshots": snapshots(folder),
        "last_error": last_error,
        "last_own": beginning(folder / "last-own") or None,
        "sidecar": sidecar.get("Status", "missing"),
        "sidecar_started": sidecar.get("StartedAt"),
        "now": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def docker(*arguments: str, timeout: int) -> "subprocess.CompletedProcess[str]":
    """What docker says, which may be the sidecar's word: beyond MOST_SAID or `timeout` it is ended."""
    command = (DOCKER, *arguments)
    try:
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
    timer = threading.Timer(timeout, running.kill)
    timer.start()
    with running:
        said = first_words(running, running.stdout)
        # Who fills this one first waits at a full pipe, until its time is over.
        errors = first_words(running, running.stderr)
    timer.cancel()
    if running.returncode < 0:
        errors = f"docker {arguments[0]} was ended: it took over {timeout} s, or said too much"
    return subprocess.CompletedProcess(command, running.returncode, said, errors)


def first_words(running: "subprocess.Popen[str]", stream: "IO[str] | None") -> str:
    words = stream.read(MOST_SAID) if stream else ""
    if len(words) == MOST_SAID:
        running.kill()
    return words


def snapshots(folder: Path) -> "dict[str, int]":
    """Bytes by id, of the newest."""
    found = {}
    for path in sorted(folder.glob("*.tar"))[-MOST:]:
        name = SNAPSHOT.fullmatch(path.name)
        with suppress(FileNotFoundError):  # the sidecar has just let it expire
            if name and stat.S_ISREG((entry := path.lstat()).st_mode):
                found[name[1]] = entry.st_size
    return found


def beginning(path: Path) -> str:
    try:
        with opened(path) as stream:
            return stream.read(600).decode(errors="replace").strip()
    except OSError:
        return ""


def opened(path: Path) -> BinaryIO:
    """A plain file to read. The sidecar writes there: root follows no link and waits at no pipe.

    Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise OSError(0, "it is no plain file")
    return stream
