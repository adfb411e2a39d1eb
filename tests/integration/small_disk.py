"""A disk that can be filled: all that a rollout writes on the VPS lies on a file system in memory.

The real one is this machine's. Only the layers of images stay there, which would fill the VPS's memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from deployments.lab.boot import Lab
from deployments.lab.machine import Machine
from tests.integration.hosts import within
from tests.integration.rolling import serves

DISK = "/mnt/small"
SIZE = "700m"
PLACES = (
    "/var/lib/docker/containers",
    "/var/lib/docker/image",
    "/var/lib/docker/tmp",
    "/var/lib/meshkeeper/releases",
    "/home/linuxuser/docker",
    "/home/linuxuser/backups",
)
#: The engine leaves containers running when it ends, in the places that they had.
STOP = """running=$(docker ps --quiet)
docker stop --time 5 $running
systemctl stop docker.socket docker.service"""
START = """systemctl start docker.service
docker start $running"""
MOVE_THERE = f"""set -e
{STOP}
mkdir -p {DISK}
mount -t tmpfs -o size={SIZE} small {DISK}
for place in {" ".join(PLACES)}; do
    mkdir -p {DISK}$place
    cp -a $place/. {DISK}$place/
    mount --bind {DISK}$place $place
done
{START}"""
MOVE_BACK = f"""set -e
{STOP}
for place in {" ".join(PLACES)}; do
    umount $place
    find $place -mindepth 1 -delete
    cp -a {DISK}$place/. $place/
done
umount {DISK}
{START}"""
#: Its limit goes down to what is used, so that nothing has to be written; more may be by then.
FILL = f"""for _ in 1 2 3 4 5 6 7 8 9 10; do
    used=$(df --output=used -k {DISK} | tail -n 1 | tr -d ' ')
    mount -o remount,size=${{used}}k {DISK} && exit
done
exit 1"""


class SmallDisk:
    def __init__(self, vps: Machine) -> None:
        self._vps = vps

    def fill(self) -> None:
        """From now on not a byte more fits on it."""
        self._vps.check("sh", "-c", FILL)

    def make_room(self) -> None:
        self._vps.check("mount", "-o", f"remount,size={SIZE}", DISK)


@contextmanager
def small_disk(lab: Lab) -> Iterator[SmallDisk]:
    """Containers are stopped while it takes their place, and while it goes."""
    _move(lab, MOVE_THERE)
    disk = SmallDisk(lab.vps)
    try:
        yield disk
    finally:
        disk.make_room()
        _move(lab, MOVE_BACK)


def _move(lab: Lab, script: str) -> None:
    lab.vps.check("sh", "-c", script, timeout=120)
    assert within(60, lambda: serves(lab))
