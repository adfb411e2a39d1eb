"""What the machine is: its size, as limited, and its kind."""

from __future__ import annotations

import os

from infra.host.facts.base import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Numbers of capabilities, as in linux/capability.h.
CAP_SYS_ADMIN, CAP_SYS_TIME = 21, 25
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
        "architecture": os.uname().machine,
        "cores": cores,
        "disk_bytes": disk.f_blocks * disk.f_frsize,
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "filesystem": root_filesystem(),
        "settable": settable(),
        "kernel": os.uname().release,
        "virtualisation": virtualisation(),
        # A container sees the firmware of the machine below, which tells nothing of its own.
        "provider": "" if container() else read("/sys/class/dmi/id/sys_vendor").strip(),
    }


def root_filesystem() -> str:
    mounts = [line.split() for line in read("/proc/self/mounts").splitlines()]
    kinds = [mount[2] for mount in mounts if mount[1] == "/"]
    return kinds[-1] if kinds else ""


def settable() -> list[str]:
    """What root may change here of swap, time and kernel: no container, and not bound otherwise."""
    status = read("/proc/self/status").partition("CapEff:")[2].split()
    capabilities = int(status[0], 16)
    may = {
        "swap": capabilities >> CAP_SYS_ADMIN & 1 and os.path.exists("/proc/swaps"),
        "time": capabilities >> CAP_SYS_TIME & 1,
        # Read-only, or another's, where the kernel is not this machine's.
        "kernel": os.access("/proc/sys/kernel/sysrq", os.W_OK),
    }
    return [] if container() else [item for item, yes in may.items() if yes]


def memory() -> int:
    """Bytes: the machine's, or what its cgroup may take where that is less."""
    whole = int(read("/proc/meminfo").split()[1]) * 1024
    limit = read(GROUP + "/memory.max") or read(GROUP + "/memory/memory.limit_in_bytes")
    return min(whole, int(limit)) if limit.strip().isdigit() else whole


def container() -> str:
    """What kind of container this is, as systemd was told; empty: none."""
    # OpenVZ tells systemd nothing; the second is on its own host only.
    if os.path.exists("/proc/vz") and not os.path.exists("/proc/bc"):
        return "openvz"
    return read("/run/systemd/container").strip()


def virtualisation() -> str:
    return container() or ("vm" if " hypervisor" in read("/proc/cpuinfo") else "none")
