"""What the machine is: its size, as limited, and its kind."""

from __future__ import annotations

import os

from infra.host.facts.base import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


GROUP = "/sys/fs/cgroup"


def machine_state() -> dict[str, Any]:
    disk = os.statvfs("/")
    quota = read(GROUP + "/cpu.max").split() or [
        read(GROUP + "/cpu/cpu.cfs_quota_us").strip(),
        read(GROUP + "/cpu/cpu.cfs_period_us").strip(),
    ]
    cores = float(os.cpu_count() or 1)
    if quota[0].isdigit() and quota[1].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return {
        "ram_bytes": memory(),
        "cores": cores,
        "disk_bytes": disk.f_blocks * disk.f_frsize,
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "kernel": os.uname().release,
        "virtualisation": virtualisation(),
        # A container sees the firmware of the machine below, which tells nothing of its own.
        "provider": "" if container() else read("/sys/class/dmi/id/sys_vendor").strip(),
    }


def memory() -> int:
    """Bytes: the machine's, or what its cgroup may take where that is less."""
    whole = int(read("/proc/meminfo").split()[1]) * 1024
    limit = read(GROUP + "/memory.max") or read(GROUP + "/memory/memory.limit_in_bytes")
    return min(whole, int(limit)) if limit.strip().isdigit() else whole


def container() -> str:
    """What kind of container this is, as systemd was told; empty: none."""
    return read("/run/systemd/container").strip()


def virtualisation() -> str:
    return container() or ("vm" if " hypervisor" in read("/proc/cpuinfo") else "none")
