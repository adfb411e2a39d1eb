"""The system: its packages, accounts, services and settings."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import struct

from infra.host.facts.base import listed, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WANTS = (
    "/etc/systemd/system/multi-user.target.wants",
    "/etc/systemd/system/sysinit.target.wants",
    "/etc/systemd/system/swap.target.wants",
    "/etc/systemd/system/timers.target.wants",
)
DPKG = "/var/lib/dpkg"
MOST_BLOCKS = 20
APPLIED = "/var/lib/meshkeeper/applied"
#: What infra/host/guard.sh leaves while it waits for a confirmation, and while it reverts.
GUARD_MARKS = ("/var/lib/meshkeeper/guard/armed", "/var/lib/meshkeeper/guard/reverting")
#: Control groups of services: of version 2, or of systemd's own tree beside version 1.
SLICES = ("/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/systemd/system.slice")


def installed(listing: str, wanted: list[str]) -> dict[str, str]:
    # The first letter is what is wanted: a package that is held is there, too.
    lines = [line[3:].split() for line in listing.splitlines() if line[1:3] == "i "]
    found = {words[0]: words[1] for words in lines if len(words) > 1}
    return {package: found[package] for package in wanted if package in found}


def unfinished(listing: str) -> bool:
    """Whether an installation was broken off: by its packages, or by dpkg's own journal.

    One that still goes on is none.
    """
    half = any(line[:1] == "i" and line[1:2] in "UFH" for line in listing.splitlines())
    journal = any(entry.isdigit() for entry in listed(DPKG + "/updates"))
    return (half or journal) and not is_locked(DPKG + "/lock-frontend")


def is_locked(path: str) -> bool:
    """Asked without taking the lock, which would stop whoever wants it in that moment."""
    question = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with open(path) as stream:
            answer = fcntl.fcntl(stream, fcntl.F_GETLK, question)
    except OSError:
        return False
    return bool(struct.unpack("hhqqi", answer)[0] != fcntl.F_UNLCK)


def sshd_settings(listing: str, wanted: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in listing.splitlines():
        key, _, value = line.partition(" ")
        values = found.setdefault(key, [])
        if value not in values:
            values.append(value)
    return {key: found[key] for key in wanted if key in found}


def match_blocks(ours: str) -> list[str]:
    """Heads of sshd's conditional blocks, with their files: `sshd -T` tells only of one login each."""
    found = []
    folder = "/etc/ssh/sshd_config.d/"
    for path in ("/etc/ssh/sshd_config", *(folder + name for name in sorted(listed(folder)))):
        lines = [line.strip() for line in read(path).splitlines()] if path != ours else []
        found += [f"{line[:200]} ({path})" for line in lines if line.lower().startswith("match ")]
    return found[:MOST_BLOCKS]


def timezone() -> str:
    """As it is set: the zone's own file may be a link to another one's. Empty where there is none."""
    if not os.path.islink("/etc/localtime") or not os.path.exists("/etc/localtime"):
        return ""
    return os.readlink("/etc/localtime").partition("/zoneinfo/")[2]


def running_services() -> list[str]:
    """Those that have processes. (Asking systemctl costs 12 ms.)"""
    found = set()
    for tree in SLICES:
        for unit in listed(tree):
            if unit.endswith(".service") and read(os.path.join(tree, unit, "cgroup.procs")):
                found.add(unit)
    return sorted(found)


def sysctl(key: str) -> str:
    """Its value; of a pattern (`net.ipv6.conf.*.forwarding`) all that there are, each once."""
    before, star, after = ("/proc/sys/" + key.replace(".", "/")).partition("*")
    names = listed(before) if star else [""]
    return " ".join(sorted({read(before + name + after).strip() for name in names}))


def swaps() -> dict[str, int]:
    """Bytes of each area that the kernel swaps to."""
    rows = [line.split() for line in read("/proc/swaps").splitlines()[1:]]
    return {row[0]: int(row[2]) * 1024 for row in rows}


def size_with_new(path: str) -> int:
    """Bytes of a file, and of what a killed run left beside it."""
    return sum(os.stat(p).st_size for p in (path, path + ".new") if os.path.isfile(p))


def clock_set() -> bool:
    """Whether systemd-timesyncd has set the clock since the boot."""
    return os.path.exists("/run/systemd/timesync/synchronized")


def cloud_init_runs() -> bool:
    """As `cloud-init status` tells it. It may still write users, keys and sshd's settings."""
    begun, done = (f"/run/cloud-init/{name}.json" for name in ("status", "result"))
    return os.path.exists(begun) and not os.path.exists(done)


def file_mode(path: str) -> dict[str, Any] | None:
    try:
        entry = os.stat(path)
    except OSError:
        return None
    try:
        owner = pwd.getpwuid(entry.st_uid).pw_name
    except KeyError:
        owner = str(entry.st_uid)
    return {"mode": stat.S_IMODE(entry.st_mode), "owner": owner}


def is_loose(path: str) -> bool:
    """Whether others than root may change it, or put another in its place."""
    while path != "/":
        entry = os.stat(path)
        if entry.st_uid or entry.st_mode & 0o002 or (entry.st_gid and entry.st_mode & 0o020):
            return True
        path = os.path.dirname(path)
    return False


def peer() -> str | None:
    """From where this session comes: sudo leaves it in the environment of who called it."""
    pid = os.getpid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/environ") as stream:
                for variable in stream.read().split("\0"):
                    if variable.startswith("SSH_CONNECTION="):
                        return variable.partition("=")[2].split()[0]
            pid = int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return None
