"""Who listens where others could reach it: out of /proc, since `ss` would be one more program."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from infra.host.facts.base import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The kernel's states (include/net/tcp_states.h): TCP_LISTEN; UDP that is connected to nobody.
WAITING = {"tcp": "0A", "udp": "07"}
MOST_TABLE = 8 * 1024 * 1024
MOST_LISTENERS = 200
#: Of people, and of containers that map their users (login.defs, systemd's UIDS-GIDS): they may
#: call a program as they like.
PEOPLE = range(1000, 61_184)


def listeners() -> dict[str, Any]:
    """By port; an address that only the host itself reaches is left out."""
    found: dict[str, tuple[int, str, str, int]] = {}
    more = False
    for protocol, state in WAITING.items():
        for table in (protocol, protocol + "6"):
            text = read("/proc/net/" + table, MOST_TABLE)
            more |= len(text) == MOST_TABLE
            # What follows the last end of a line is nothing, or a line that was cut.
            for line in text.split("\n")[1:-1]:
                words = line.split()
                address, _, port = words[1].rpartition(":")
                if words[3] == state and not of_the_host(decoded(address)):
                    user = int(words[7])
                    found[words[9]] = (int(port, 16), protocol, decoded(address), user)
    owners = owners_of({f"socket:[{inode}]" for inode in found})
    rows = {
        (*where, named(owners.get(f"socket:[{inode}]", ""), user))
        for inode, (*where, user) in found.items()
    }
    names = ("port", "protocol", "address", "process")
    # A host that is refused (Debian 11) has Python 3.9, which knows no `strict`.
    first = [dict(zip(names, row)) for row in sorted(rows)[:MOST_LISTENERS]]  # noqa: B905
    return {"listeners": first, "more_listeners": more or len(rows) > MOST_LISTENERS}


def named(process: str, user: int) -> str:
    return f"{process or 'a program'} of user {user}" if user in PEOPLE else process


def decoded(address: str) -> str:
    """Words of 32 bits, each in the byte order of the machine: little-endian, where Debian runs."""
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words))


def of_the_host(address: str) -> bool:
    return address.startswith(("127.", "::ffff:127.")) or address == "::1"


def owners_of(sockets: set[str]) -> dict[str, str]:
    """Socket → its process's name, as the kernel shortens it; of several, that of the oldest."""
    found: dict[str, str] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if len(found) == len(sockets):
            break
        for target in targets(f"/proc/{pid}/fd") & (sockets - found.keys()):
            found[target] = read(f"/proc/{pid}/comm").strip()
    return found


def targets(folder: str) -> set[str]:
    """What the files that a process has open are; each may be closed meanwhile."""
    found = set()
    try:
        for name in os.listdir(folder):
            with suppress(OSError):
                found.add(os.readlink(folder + "/" + name))
    except OSError:  # the process ended
        pass
    return found
