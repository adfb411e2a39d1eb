"""Runs on the host, as root, over standard input: takes, renews, shows and releases its lock.

Standard library only, Python 3.11 or newer. The lock is a file of two lines: token, end of the lease
in seconds of the boot clock and the boot's id; then who holds it, as JSON. Each change checks the first
line by itself (infra.access.lock_check) and holds the file `changing` for as long as it runs: what a
dead run began and nobody watches any more keeps the next one out until it ends.
"""

import fcntl
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

Request = dict[str, Any]
#: Programs that are told to be at work.
MOST = 5


def take(request: Request) -> bool:
    """Whether the lock is ours now; asked again with the same token it still is."""
    lock = live(request)
    if lock and lock["token"] != request["token"]:
        return False
    with changing(request).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        write(request, request["holder"])
    return True


def renew(request: Request) -> bool:
    """Whether it still was ours: a lease that ran out is not given back."""
    lock = live(request)
    if lock is None or lock["token"] != request["token"]:
        return False
    write(request, lock["holder"])
    return True


def release(request: Request) -> bool:
    lock = live(request)
    if lock is None or lock["token"] != request["token"]:
        return False
    lock_file(request).unlink()
    return True


def show(_: Request) -> bool:
    return True


def state(request: Request, done: bool) -> dict[str, Any]:
    lock = live(request) or {"token": None, "holder": None, "until": 0}
    return {
        "done": done,
        "token": lock["token"],
        "holder": lock["holder"],
        "left": max(0, lock["until"] - uptime()),
        "at_work": [] if lock["token"] else at_work(request),
    }


def live(request: Request) -> "dict[str, Any] | None":
    """The lock, where one is there whose lease runs in this boot."""
    try:
        first, holder = lock_file(request).read_text().splitlines()
        token, until, boot = first.split()
        lock = {"token": token, "until": int(until), "holder": json.loads(holder)}
    except (FileNotFoundError, ValueError):
        return None
    return lock if boot == boot_id() and uptime() < lock["until"] else None


def write(request: Request, holder: Any) -> None:
    """Replaced whole: who reads it at this moment reads the one before."""
    first = f"{request['token']} {uptime() + request['lease']} {boot_id()}"
    draft = lock_file(request).with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(f"{first}\n{json.dumps(holder)}\n")
    draft.replace(lock_file(request))


def at_work(request: Request) -> list[str]:
    """Who holds `changing` open, by name and process id."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # it has ended meanwhile
            if link.readlink() == changing(request):
                process = link.parents[1]
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return sorted(set(found))[:MOST]


def lock_file(request: Request) -> Path:
    return Path(request["folder"]) / "lock"


def changing(request: Request) -> Path:
    return Path(request["folder"]) / "changing"


def uptime() -> int:
    """Whole seconds since the boot, as the check in the shell reads them."""
    return int(Path("/proc/uptime").read_text().partition(".")[0])


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def main(request: Request) -> None:
    steps = {"take": take, "renew": renew, "release": release, "show": show}
    folder = Path(request["folder"])
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "mutex").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        done = steps[request["step"]](request)
        json.dump(state(request, done), sys.stdout)
