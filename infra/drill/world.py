"""An isolated world by its names: plain values, so that every step can attach to it by itself."""

import itertools
import os
import re
from pathlib import Path

from infra.model.base import Model

#: Every container, network and volume of a drill carries it; its value is the world's id.
LABEL = "meshkeeper.drill"
PREFIX = "mk-drill-"

_ID = re.compile(r"^(\d+)-(\d+)-\d+$")
_count = itertools.count(1)


class World(Model):
    """The names of one drill's network, containers and volumes."""

    id: str
    host_name: str

    @property
    def network(self) -> str:
        return f"{PREFIX}{self.id}"

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.id}

    def named(self, role: str) -> str:
        """Name of the container, or of the volume, with this role."""
        return f"{PREFIX}{self.id}-{role}"


def new_id() -> str:
    """An id that tells which process the world belongs to: `<pid>-<start>-<n>`."""
    return f"{os.getpid()}-{_started(os.getpid())}-{next(_count)}"


def is_orphan(world_id: str) -> bool:
    """Whether the process that made this world has ended."""
    match = _ID.match(world_id)
    return match is not None and _started(int(match[1])) != int(match[2])


def _started(pid: int) -> int:
    """When a process began, in clock ticks since boot (proc(5), field 22); 0: it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rpartition(")")[2].split()[19])
