"""One machine with a kernel of its own for all tests: provisioned from nothing, then rebooted."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from deployments.cli.schema import EXAMPLE
from deployments.lab.engine import remove_all
from deployments.lab.keys import ensure_ssh_key
from deployments.lab.vm import BOOT_SECONDS, Vm, vm
from infra.access.docker import engine
from infra.access.host_keys import pin_host_key
from infra.access.ssh import connect
from infra.errors import CouldNotRun
from infra.host import apply
from infra.host.guard import guarded
from infra.host.provision import Outlook, Target, after, look, way_in
from infra.images.cache import exclusive
from infra.images.ensure import ensure_image
from infra.model.site import Site
from infra.settings import Settings
from tests.conftest import free_port

SSHD, DECLARED, UNDECLARED = 22, 80, 8081
#: One static program: a web server, and an image without a registry.
IMAGE = "tar -C /usr -c bin/busybox | docker import - probe >/dev/null"
#: The first process of a container ends at SIGTERM only if it says so; systemd would wait for it.
SERVE = "trap exit TERM; /bin/busybox httpd -f -p 8080 & wait"
#: Seconds in which the host takes a change back: the real minute, on a machine that is slower. With
#: both cores busy the firewall alone took longer than the minute lets it.
REVERT = 300
#: Seconds between logins while it boots.
PAUSE = 5
PREFIX = "mk-vm"
#: Seconds that all of it may take.
LONGEST = 7200


@dataclass
class Host:
    """The machine as its owner has it."""

    machine: Vm
    target: Target
    console: Path

    def run(self, command: str, timeout: float = 300) -> str:
        """A shell command as root; its output."""
        with connect(self.target.admin) as session:
            shell = session.as_root("sh -eus")
            return session.check("vm", shell, stdin=command.encode(), timeout=timeout).decode()

    def reboot(self, how: str) -> None:
        """Reboot it by that command, and wait until it is up again."""
        boot = self.run("cat /proc/sys/kernel/random/boot_id")
        began = time.monotonic()
        # A hard one may take the connection with it.
        with suppress(CouldNotRun):
            self.run(f"({how}) >/dev/null 2>&1 &")
        while time.monotonic() - began < BOOT_SECONDS:
            time.sleep(PAUSE)
            try:
                if self.run("cat /proc/sys/kernel/random/boot_id") != boot:
                    self.run("systemctl is-system-running --wait")
                    tell("rebooted", began)
                    return
            except CouldNotRun:
                continue
        raise AssertionError(f"not up {BOOT_SECONDS} s after its reboot; see {self.console}")

    def answers(self, port: int) -> bool:
        """Whether a web server answers there, from outside. QEMU itself takes any connection."""
        with socket.create_connection(("127.0.0.1", self.machine.ports[port]), 10) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            try:
                return connection.recv(5) == b"HTTP/"
            except OSError:
                return False


@dataclass
class Provisioned:
    """A host, and what was found on it before and after."""

    host: Host
    before: Outlook
    afterwards: Outlook


def tell(what: str, began: float) -> None:
    """Progress, since all of it takes minutes."""
    print(f"    {what}: {time.monotonic() - began:.0f} s", flush=True)


@pytest.fixture(scope="session")
def time_server() -> Iterator[None]:
    """At this machine's own UDP port 123, which its guests call 10.0.2.2. It ends by itself, too."""
    program = Path(__file__).with_name("time_server.py")
    with exclusive(PREFIX):
        remove_all(engine(), PREFIX)
        container = engine().containers.run(
            ensure_image("python:3.13-slim-trixie"),
            ["timeout", str(LONGEST), "python", "/time_server.py"],
            name=f"{PREFIX}-time",
            volumes={str(program): {"bind": "/time_server.py", "mode": "ro"}},
            ports={"123/udp": ("127.0.0.1", 123)},
            detach=True,
            auto_remove=True,
        )
        yield
        container.remove(force=True)


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apply, "guarded", partial(guarded, seconds=REVERT))
        patch.setattr(apply, "GUARDED_LONGEST", REVERT - 15)
        yield


@pytest.fixture(scope="session")
def host(time_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Just delivered: root by key, nothing else."""
    folder = tmp_path_factory.mktemp("vm")
    began, key = time.monotonic(), ensure_ssh_key(folder / "id_ed25519")
    ports = {port: free_port() for port in (SSHD, DECLARED, UNDECLARED)}
    with vm(key, folder / "console", ports) as machine:
        tell("switched on", began)
        values = yaml.safe_load(EXAMPLE.read_text())
        values["hosts"]["vps"] = {
            "address": "127.0.0.1",
            "port": ports[SSHD],
            "host_key": machine.fingerprint,
            "admin_keys": [key],
        }
        settings = Settings(state_dir=folder / "state", ssh_key=folder / "id_ed25519")
        target = Target(settings, Site.model_validate(values), "vps")
        pin_host_key(target.admin, machine.fingerprint)
        yield Host(machine, target, folder / "console")


@pytest.fixture(scope="session")
def provisioned(host: Host) -> Provisioned:
    began = time.monotonic()
    before = look(host.target)
    target = host.target._replace(user=before.user)
    for change in before.plan.changes:
        at = time.monotonic()
        with way_in(target) as session:
            apply.apply_change(session, change, target.admin)
        target = after(target, change)
        tell(change.item, at)
    tell("provisioned", began)
    return Provisioned(host, before, look(target))


@pytest.fixture(scope="session")
def rebooted(provisioned: Provisioned) -> Host:
    """With two containers that publish a port each, one of which the site declares."""
    host = provisioned.host
    for name, port in (("declared", DECLARED), ("undeclared", UNDECLARED)):
        host.run(
            f"docker inspect probe >/dev/null 2>&1 || {IMAGE}\n"
            f"docker run -d --name {name} --restart always -p 0.0.0.0:{port}:8080"
            f" probe /bin/busybox sh -c '{SERVE}'"
        )
    host.reboot("systemctl reboot")
    return host
