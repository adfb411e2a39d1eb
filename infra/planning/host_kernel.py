"""What only a machine with a kernel of its own has: swap, a clock, settings of the kernel. Pure.

In a container all three are those of the machine below; some small providers' machines look like
whole ones and are none. There they are left out, and a note says so.
"""

from collections.abc import Iterable

from infra.model.host import HostState
from infra.model.host_change import Configure, ManagedFile
from infra.model.site import Host
from infra.planning.host_services import NOTE, Service, plan_service, sysctl_file

SWAP_FILE = "/var/lib/meshkeeper/swapfile"
#: systemd wants a swap's unit to be called by its path.
_SWAP_UNIT = "var-lib-meshkeeper-swapfile.swap"
SWAP_UNIT = f"/etc/systemd/system/{_SWAP_UNIT}"
SYSCTL = "/etc/sysctl.d/90-meshkeeper-kernel.conf"
FILES = (SWAP_UNIT, SYSCTL)
#: Filesystems whose files the kernel swaps to without more ado.
SWAP_FILESYSTEMS = ("ext4", "xfs")
#: MiB of disk that stay free beside a swap file: for images, snapshots and updates.
KEPT_FREE_MB = 2048
_MIB = 1024 * 1024
#: Bytes: the kernel does not count the header, a page of 4 to 64 KiB.
_SWAP_HEADER = 64 * 1024

_TIMESYNCD = "systemd-timesyncd.service"
#: Debian's other time services: one that runs is left to it.
_TIME_SERVICES = ("chrony.service", "ntpsec.service", "openntpd.service")
PACKAGES = ("systemd-timesyncd",)
#: Off, and gone with what a killed run left of it.
_OFF = f"""\
! grep -q '^{SWAP_FILE} ' /proc/swaps || systemctl stop {_SWAP_UNIT}
rm -f {SWAP_FILE} {SWAP_FILE}.new"""

#: Sources: CIS's benchmark for Debian, Lynis, and systemd's and Debian's own defaults, which hold
#: only until some package changes them. Not ip_forward, which is Docker's and Tailscale's, and
#: nothing against user namespaces, which containers need.
SETTINGS = {
    "fs.protected_fifos": "2",
    "fs.protected_hardlinks": "1",
    "fs.protected_regular": "2",
    "fs.protected_symlinks": "1",
    "fs.suid_dumpable": "0",
    "kernel.dmesg_restrict": "1",
    "kernel.kptr_restrict": "2",
    "kernel.perf_event_paranoid": "3",
    "kernel.randomize_va_space": "2",
    "kernel.sysrq": "0",
    "kernel.unprivileged_bpf_disabled": "1",
    "kernel.yama.ptrace_scope": "2",
    # Swap is for what sleeps, and disk cache goes first: a VPS's disk is slow.
    "vm.swappiness": "10",
}
#: By item, as a sentence goes on.
_SUBJECTS = {"swap": "swap", "time": "the clock", "kernel": "the kernel's settings"}


def plan_kernel(name: str, host: Host, state: HostState) -> Iterable[Configure]:
    """The changes of those of the three that this host can have."""
    for service in (settings(), *_time(state), *_swap(name, host, state)):
        if service.name in state.machine.settable:
            yield from plan_service(service, state)


def kernel_notes(name: str, host: Host, state: HostState) -> Iterable[str]:
    """What this host can't have, and why."""
    yield from (f"{item} is left out: {why}" for item, why in left_out(name, host, state).items())
    yield from time_notes(state)


def left_out(name: str, host: Host, state: HostState) -> dict[str, str]:
    """Items that this host can't have, each with the reason."""
    machine, reasons = state.machine, {}
    for item, subject in _SUBJECTS.items():
        if item in machine.settable or (item == "swap" and host.swap_mb is None):
            continue
        if machine.container:
            why = f"in a container ({machine.virtualisation}) {subject} can only be the machine's below"
        else:
            why = f"this machine's root may not change {subject}: it seems to be no whole machine"
        reasons[f"host.{item}"] = why
    if "swap" in machine.settable and (why := _no_room(name, host, state)):
        reasons["host.swap"] = why
    return reasons


def time_notes(state: HostState) -> Iterable[str]:
    if _TIMESYNCD in state.running and not state.clock_set:
        yield (
            f"{_TIMESYNCD} has not yet reached a time server since the boot: "
            "does the provider let UDP port 123 through?"
        )


def settings() -> Service:
    return sysctl_file(
        "kernel", "tell strangers less of the kernel, and swap late", SYSCTL, SETTINGS
    )


def _time(state: HostState) -> Iterable[Service]:
    if set(_TIME_SERVICES).isdisjoint(state.running):
        yield Service(
            "time",
            "keep the clock right, by time servers",
            PACKAGES,
            (),
            f"systemctl -q unmask {_TIMESYNCD}\nsystemctl -q enable --now {_TIMESYNCD}\n",
            _time_is_not_kept,
        )


def _time_is_not_kept(state: HostState) -> str:
    if _TIMESYNCD not in state.running:
        return f"starts {_TIMESYNCD}"
    return "" if _TIMESYNCD in state.enabled else "starts it at the next boot, too"


def _swap(name: str, host: Host, state: HostState) -> Iterable[Service]:
    if host.swap_mb is None:
        yield _no_swap()
    elif not _has_enough(host.swap_mb, state) and not _no_room(name, host, state):
        yield swap(host.swap_mb)


def swap(megabytes: int) -> Service:
    """A swap file of this size in MiB, that is there after each boot, too."""
    size = megabytes * _MIB
    unit = (
        f"# {NOTE}[Unit]\nDescription=Swap of {megabytes} MiB\n"
        f"[Swap]\nWhat={SWAP_FILE}\n[Install]\nWantedBy=swap.target\n"
    )
    # It gets its name when it is whole: what a killed run left is made anew.
    activate = f"""\
systemctl daemon-reload
if [ "$(stat -c %s {SWAP_FILE} 2>/dev/null)" != {size} ] || ! swaplabel {SWAP_FILE} >/dev/null 2>&1
then
    {_OFF}
    install -m 600 /dev/null {SWAP_FILE}.new
    fallocate -l {size} {SWAP_FILE}.new
    mkswap -q {SWAP_FILE}.new
    sync {SWAP_FILE}.new
    mv {SWAP_FILE}.new {SWAP_FILE}
fi
systemctl -q enable --now {_SWAP_UNIT}
"""
    return Service(
        "swap",
        f"{megabytes} MiB of swap in {SWAP_FILE}",
        (),
        (ManagedFile(path=SWAP_UNIT, text=unit),),
        activate,
        lambda state: _swap_is_not_live(size, state),
    )


def _no_swap() -> Service:
    return Service(
        "swap",
        f"no more swap in {SWAP_FILE}",
        (),
        (),
        f"{_OFF}\n[ ! -e {SWAP_UNIT} ] || systemctl -q disable {_SWAP_UNIT}\n"
        f"rm -f {SWAP_UNIT}\nsystemctl daemon-reload\n",
        lambda state: "removes it" if {SWAP_UNIT, SWAP_FILE} & {*state.files, *state.swaps} else "",
    )


def _swap_is_not_live(size: int, state: HostState) -> str:
    if not _is_active(size, state):
        return f"makes it: {round(state.swaps.get(SWAP_FILE, 0) / _MIB)} MiB are active now"
    return "" if _SWAP_UNIT in state.enabled else "has it there after the next boot, too"


def _is_active(size: int, state: HostState) -> bool:
    return size - _SWAP_HEADER <= state.swaps.get(SWAP_FILE, 0) <= size


def _has_enough(megabytes: int, state: HostState) -> bool:
    """Whether there is enough swap of another kind: a partition, somebody's file, zram."""
    others = sum(size for path, size in state.swaps.items() if path != SWAP_FILE)
    return others + _SWAP_HEADER >= megabytes * _MIB


def _no_room(name: str, host: Host, state: HostState) -> str:
    """Why a swap file that is wanted can't be made on this disk, and what to do; or nothing."""
    if host.swap_mb is None or _has_enough(host.swap_mb, state):
        return ""
    if _is_active(host.swap_mb * _MIB, state):
        return ""
    if state.machine.filesystem not in SWAP_FILESYSTEMS:
        return (
            f"a swap file needs {' or '.join(SWAP_FILESYSTEMS)}, and the disk has "
            f"{state.machine.filesystem or 'an unknown filesystem'}; make swap by hand, "
            f"or write hosts.{name}.swap_mb: null"
        )
    free = (state.machine.disk_free_bytes + state.swap_file_bytes) // _MIB
    if free < host.swap_mb + KEPT_FREE_MB:
        return (
            f"{free} MiB of disk are free, and {KEPT_FREE_MB} shall stay so beside "
            f"{host.swap_mb} of swap; make room, or write a smaller hosts.{name}.swap_mb"
        )
    return ""
