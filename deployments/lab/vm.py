"""A VPS with a kernel of its own, emulated by QEMU: swap, clock, control groups and reboots are real.

Everything takes about ten times as long there. Its disk is made once for each content, and kept in
the cache; what a machine writes goes with its process.
"""

import base64
import hashlib
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.errors import CouldNotRun
from infra.images.cache import HASH_DIGITS, cached, drop_older, exclusive
from infra.images.catalog import CATALOG, LAB_VM
from infra.images.engine import engine
from infra.images.ensure import ensure_image
from infra.images.inputs import image_hash

#: Seconds from power-on to sshd; three times what two busy cores took.
BOOT_SECONDS = 300
#: The guest's clock when it is switched on, against ours: time servers have something to do.
CLOCK_AHEAD = timedelta(minutes=10)
FILES = ("disk.img", "initrd", "vmlinuz")
#: Of two files of the same name in the archive the later one counts: the image's own are Docker's.
_MAKE = """\
set -eu
cd /out
tar --one-file-system --exclude=./out --exclude=./.dockerenv -C / -c . -C /usr/share/lab-vm . |
    mke2fs -q -t ext4 -d - disk.img 8G
cp /boot/vmlinuz-* vmlinuz
cp /boot/initrd.img-* initrd
chown --reference=. *
"""


@dataclass(frozen=True)
class Vm:
    """A machine that runs: `ports` are the guest's, each with the one of 127.0.0.1 that leads there."""

    fingerprint: str
    ports: Mapping[int, int]


def ensure_disk() -> Path:
    """The directory with disk, kernel and initrd, made if its inputs are new."""
    if platform.machine() != "x86_64":
        raise CouldNotRun("The virtual machine is made for x86_64, and this machine is none.")
    image = ensure_image(LAB_VM)
    inputs = f"{image_hash(CATALOG[LAB_VM], CATALOG)} {_MAKE}"
    digest = hashlib.sha256(inputs.encode()).hexdigest()[:HASH_DIGITS]
    directory = cached("vm", f"lab-{digest}")
    with exclusive("lab-vm-disk"):
        if not directory.exists():
            with tempfile.TemporaryDirectory(dir=directory.parent, prefix="building-") as scratch:
                half = Path(scratch) / "disk"
                half.mkdir()
                volumes = {str(half): {"bind": "/out", "mode": "rw"}}
                engine().containers.run(
                    image, ["-c", _MAKE], entrypoint="sh", volumes=volumes, remove=True
                )
                half.rename(directory)
            drop_older(directory, "lab")
    return directory


@contextmanager
def vm(ssh_key: str, console: Path, ports: Mapping[int, int]) -> Iterator[Vm]:
    """Switch a new machine on, as a provider delivers it: root by `ssh_key` (its public line).

    `console`: file for what it prints. `ports`: see Vm. It is cut off at the end, or with us.
    Raises CouldNotRun when it does not come up.
    """
    console.write_text("")
    with subprocess.Popen(
        _command(ensure_disk(), ssh_key, console, ports), stdin=subprocess.DEVNULL
    ) as process:
        try:
            yield Vm(_fingerprint(process, console), ports)
        finally:
            process.kill()


def _command(disk: Path, ssh_key: str, console: Path, ports: Mapping[int, int]) -> list[str]:
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{ours}-:{its}" for its, ours in ports.items())
    key = base64.b64encode(f"{ssh_key}\n".encode()).decode()
    kernel = f"root=/dev/vda rw console=ttyS0 quiet systemd.set_credential_binary=ssh.authorized_keys.root:{key}"
    began = datetime.now(UTC) + CLOCK_AHEAD
    return [
        # It ends with us, however we end.
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "1024"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", f"file:{console}"),
        # Writes go to a file that has no name.
        *("-drive", f"file={disk / 'disk.img'},format=raw,if=virtio,snapshot=on"),
        *("-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-rng-pci", "-rtc", f"base={began:%Y-%m-%dT%H:%M:%S}"),
        *("-kernel", str(disk / "vmlinuz"), "-initrd", str(disk / "initrd"), "-append", kernel),
    ]


def _fingerprint(process: "subprocess.Popen[bytes]", console: Path) -> str:
    """Of the new host key, as the machine shows it on its console when one can log in."""
    deadline = time.monotonic() + BOOT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if shown := re.search(r"SHA256:\S{43}", console.read_text(errors="replace")):
            return shown[0]
        time.sleep(0.5)
    last = console.read_text(errors="replace").strip().splitlines()[-3:]
    raise CouldNotRun(
        f"The virtual machine did not come up within {BOOT_SECONDS} s: {' | '.join(last)}",
        f"Its console is in {console}.",
    )
