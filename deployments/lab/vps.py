"""A VPS of the real size, as a provider delivers it: root by key, no Docker, no admin.

`python -m deployments.lab.vps NAME` boots one by itself, for trials; with --remove it goes.
"""

import argparse
import time
from pathlib import Path

from docker import DockerClient

from deployments.lab.engine import ensure_part, find, remove_all
from deployments.lab.keys import ensure_ssh_key, new_key
from deployments.lab.machine import Machine
from deployments.lab.part import File, Leg, Part
from deployments.lab.plan import ROOT
from infra.access.docker import engine as docker_engine
from infra.errors import CouldNotRun
from infra.model.base import Model

IMAGE = "meshkeeper-lab/host:1"
BOOT_SECONDS = 60
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
#: With cgroup v2 the engine mounts the tree read-only, and systemd can't begin. (Tried: only v1.)
INIT = """cgroup=/sys/fs/cgroup
[ ! -e $cgroup/cgroup.controllers ] || mount -o remount,bind,rw $cgroup
exec /sbin/init"""
#: What cloud-init writes on a rented machine, and what a hardening has to win over.
CLOUD_DROP_IN = File(
    path="/etc/ssh/sshd_config.d/50-cloud-init.conf", content=b"PasswordAuthentication yes\n"
)


class Order(Model):
    """What one tells a provider; `resolver` is the DNS server that its network hands out."""

    name: str
    network: str
    key: Path
    address: str | None = None
    resolver: str | None = None
    image: str = IMAGE


class Delivered(Model):
    """What the provider's console shows afterwards."""

    address: str
    fingerprint: str


def boot_vps(engine: DockerClient, order: Order) -> Delivered:
    """Boot the ordered machine, or leave it as it runs, and wait until it is up."""
    ensure_part(engine, vps_part(order))
    machine = vps_machine(engine, order.name)
    _wait_until_running(machine)
    return Delivered(address=machine.address, fingerprint=_fingerprint(machine))


def remove_vps(engine: DockerClient, name: str) -> None:
    """Remove a VPS and its disks."""
    if container := find(engine, name):
        container.remove(force=True, v=True)
    remove_all(engine, name)


def vps_machine(engine: DockerClient, name: str) -> Machine:
    """The handle of a VPS that runs."""
    container = find(engine, name)
    if container is None:
        raise CouldNotRun(f"No VPS called {name} is there.")
    networks = container.attrs["NetworkSettings"]["Networks"]
    return Machine(container, str(next(iter(networks.values()))["IPAddress"]))


def vps_part(order: Order) -> Part:
    """The container: its limits are the machine's size, its capabilities those of a machine.

    Without SYS_RESOURCE and SYS_TIME: limits and the clock are those of the machine below.
    """
    volumes = {
        f"{order.name}-docker": {"bind": "/var/lib/docker", "mode": "rw"},
        f"{order.name}-containerd": {"bind": "/var/lib/containerd", "mode": "rw"},
    }
    return Part(
        name=order.name,
        image=order.image,
        command=("sh", "-c", INIT),
        legs=(Leg(network=order.network, address=order.address),),
        files=(
            CLOUD_DROP_IN,
            File(path="/root/.ssh/authorized_keys", content=_authorized(order.key), mode=0o600),
            *_host_key_files(),
        ),
        options={
            "mem_limit": "1g",
            "nano_cpus": 1_000_000_000,
            "cap_add": ["ALL"],
            "cap_drop": ["SYS_RESOURCE", "SYS_TIME"],
            "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
            "cgroupns": "private",
            "sysctls": {"net.ipv6.conf.all.disable_ipv6": "0"},
            "tmpfs": {"/run": "", "/tmp": ""},  # noqa: S108 - a machine's own
            "volumes": {**volumes, **_resolver_file(order)},
            "environment": {"container": "docker"},
            "devices": ["/dev/net/tun"],
        },
    )


def _authorized(key: Path) -> bytes:
    return f"{ensure_ssh_key(key)}\n".encode()


def _host_key_files() -> tuple[File, File]:
    """A host key of its own: the image's would be the same on each machine."""
    private, public = new_key()
    return (
        File(path=HOST_KEY, content=private, mode=0o600),
        File(path=f"{HOST_KEY}.pub", content=f"{public}\n".encode()),
    )


def _resolver_file(order: Order) -> dict[str, dict[str, str]]:
    """A resolv.conf of its own: Docker's 127.0.0.11 is of no use to containers inside."""
    if order.resolver is None:
        return {}
    path = order.key.parent / "resolv.conf"
    path.write_text(f"nameserver {order.resolver}\n")
    return {str(path): {"bind": "/etc/resolv.conf", "mode": "rw"}}


def _wait_until_running(machine: Machine) -> None:
    """Ask systemd, never port 22: sshd penalises whoever only knocks."""
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        state = machine.run("systemctl", "is-system-running").stdout.strip()
        if state in {"running", "degraded"} and _sshd_is_active(machine):
            return
        time.sleep(0.3)
    raise CouldNotRun(
        f"{machine.name} did not come up within {BOOT_SECONDS} s.",
        f"`docker exec {machine.name} systemctl --failed` shows what hangs.",
    )


def _sshd_is_active(machine: Machine) -> bool:
    return machine.run("systemctl", "is-active", "ssh").stdout.strip() == "active"


def _fingerprint(machine: Machine) -> str:
    """`SHA256:…` of the host's ed25519 key."""
    return machine.check("ssh-keygen", "-lf", f"{HOST_KEY}.pub").split()[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deployments.lab.vps", description=__doc__)
    parser.add_argument("name", help="the container's name, with your own prefix: mk-trial-vps")
    parser.add_argument("--network", default="bridge", help="a Docker network (default: bridge)")
    parser.add_argument("--image", default=IMAGE, help=f"of which Debian (default: {IMAGE})")
    parser.add_argument("--remove", action="store_true", help="remove it and its volumes")
    arguments = parser.parse_args()
    engine = docker_engine()
    if arguments.remove:
        remove_vps(engine, arguments.name)
        return
    from infra.images.ensure import ensure_images

    ensure_images([arguments.image])
    key = ROOT / "build/vps" / arguments.name / "id_ed25519"
    order = Order(name=arguments.name, network=arguments.network, key=key, image=arguments.image)
    delivered = boot_vps(engine, order)
    print(
        f"address      {delivered.address}\nkey          {key}\nhost key     {delivered.fingerprint}"
    )


if __name__ == "__main__":
    main()
