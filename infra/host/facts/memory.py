"""Memory in use: of the whole machine, and of each container by its control group."""

from __future__ import annotations

from infra.host.facts.base import read
from infra.host.facts.docker import docker
from infra.host.facts.machine import GROUP, container, memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_CONTAINERS = 500
#: Where the engine's two drivers for control groups (of version 1 and 2) put a container's.
OLD_GROUPS = (GROUP + "/memory/docker/%s/", GROUP + "/memory/system.slice/docker-%s.scope/")
NEW_GROUPS = (GROUP + "/system.slice/docker-%s.scope/", GROUP + "/docker/%s/")


def memory_state() -> dict[str, Any]:
    running = (docker("/containers/json") or [])[:MOST_CONTAINERS]
    return {
        "used_bytes": memory() - free_memory() + used_swap(),
        "containers": {one["Names"][0].lstrip("/"): held(one["Id"]) for one in running},
    }


def held(container_id: str) -> int:
    """Bytes of RAM and swap; 0 where its group is not where the engine usually puts it."""
    for pattern in NEW_GROUPS:
        group = pattern % container_id
        if used := number(group + "memory.current"):
            return used - cache_of(group) + number(group + "memory.swap.current")
    for pattern in OLD_GROUPS:
        group = pattern % container_id
        if used := number(group + "memory.usage_in_bytes"):
            # This one counts both; where the kernel counts no swap, there is no such file.
            return max(used, number(group + "memory.memsw.usage_in_bytes")) - cache_of(group)
    return 0


def used_swap() -> int:
    """Bytes; a container's swap is the machine's below it."""
    if container():
        return 0
    rows = [line.split() for line in read("/proc/swaps").splitlines()[1:]]
    return sum(int(row[3]) * 1024 for row in rows)


def free_memory() -> int:
    """Bytes that programs may still take: of the machine, or of its cgroup where that is less."""
    lines = [line.split() for line in read("/proc/meminfo").splitlines()]
    free = next(int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    for group, name in (
        (GROUP + "/", "memory.current"),
        (GROUP + "/memory/", "memory.usage_in_bytes"),
    ):
        if used := number(group + name):
            return max(0, min(free, memory() - used + cache_of(group)))
    return free


def cache_of(group: str) -> int:
    """Bytes that a group counts as used, and that the kernel takes back when a program needs them.

    What `MemAvailable` counts as free for a whole machine: pages of files, also of those that were
    read twice, and the kernel's own caches. Version 1's `total_` is with the groups below.
    """
    pages = dict(line.split()[:2] for line in read(group + "memory.stat").splitlines())
    kinds = ("inactive_file", "active_file", "slab_reclaimable")
    return sum(int(pages.get("total_" + kind) or pages.get(kind) or 0) for kind in kinds)


def number(path: str) -> int:
    """What stands in the file; 0 where there is none, or no number."""
    text = read(path).strip()
    return int(text) if text.isdigit() else 0
