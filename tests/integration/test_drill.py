"""What a drill must never do: reach production, or leave something behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from docker.models.containers import Container

from infra.access.docker import engine
from infra.drill import containers, isolation
from infra.drill.cleanup import remove_orphan_worlds, remove_world
from infra.drill.containers import Recipe, execute
from infra.drill.reaper import place_for_drill
from infra.drill.world import LABEL, World, new_id
from infra.images.ensure import ensure_image

SLEEP = ("python3", "-c", "import signal; signal.pause()")
DIAL = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.5).close()
    print("reached")
except OSError as error:
    print("stopped")
"""


@pytest.fixture
def world() -> Iterator[World]:
    made = World(id=new_id(), host_name="hs.drill.test")
    isolation.create_network(made)
    yield made
    remove_world(made.id)


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of this machine on which somebody listens, on all its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is the point
        yield int(server.getsockname()[1])


def start(world: World, role: str) -> Container:
    recipe = Recipe(image=ensure_image(isolation.PYTHON_IMAGE), entrypoint=SLEEP)
    container = containers.create(world, role, recipe)
    container.start()
    container.reload()
    return container


def dial(world: World, role: str, address: str, port: int) -> str:
    return execute(world, role, ("python3", "-c", DIAL, address, str(port))).decode().strip()


def gateways() -> set[str]:
    """This machine's address in each of the engine's networks, as the engine gives them."""
    networks = engine().networks.list(greedy=True)
    configured = [net.attrs["IPAM"]["Config"] or [] for net in networks]
    return {
        each.get("Gateway") or str(ip_network(each["Subnet"])[1])
        for many in configured
        for each in many
    }


def test_a_drill_has_no_way_to_production(world: World, listener: int) -> None:
    start(world, "inside")
    outward = {*gateways(), "1.1.1.1", "192.0.2.7"}
    found = {address: dial(world, "inside", address, listener) for address in outward}
    assert found == dict.fromkeys(outward, "stopped")
    assert dial(world, "inside", "controlplane.tailscale.com", 443) == "stopped"


def test_inside_a_drill_containers_reach_each_other(world: World) -> None:
    """So that the test above is about walls, and not about a broken network."""
    start(world, "inside")
    neighbour = containers.create(
        world,
        "neighbour",
        Recipe(
            image=ensure_image(isolation.PYTHON_IMAGE), entrypoint=("python3", "-m", "http.server")
        ),
    )
    neighbour.start()
    assert until(lambda: dial(world, "inside", "neighbour", 8000) == "reached")


def test_an_ordinary_container_would_reach_this_machine(listener: int) -> None:
    """The other half of the control: it is the drill's network that stops it."""
    container = engine().containers.run(
        ensure_image(isolation.PYTHON_IMAGE),
        entrypoint=list(SLEEP),
        name=f"mk-d-dial-{os.getpid()}",
        detach=True,
    )
    try:
        container.reload()
        gateway = container.attrs["NetworkSettings"]["Gateway"]
        command = ["python3", "-c", DIAL, gateway, str(listener)]
        assert container.exec_run(command).output.decode().strip() == "reached"
    finally:
        container.remove(force=True)


def test_containers_of_a_drill_are_hardened(world: World) -> None:
    settings = start(world, "inside").attrs["HostConfig"]
    assert settings["ReadonlyRootfs"]
    assert settings["CapDrop"] == ["ALL"]
    assert settings["SecurityOpt"] == ["no-new-privileges"]
    assert not settings["PortBindings"]
    assert not settings["Binds"]
    assert min(settings["Memory"], settings["PidsLimit"], settings["NanoCpus"]) > 0


def test_after_kill_9_nothing_of_a_drill_is_left(tmp_path: Path) -> None:
    drill = subprocess.Popen(
        [sys.executable, "-c", DOOMED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert drill.stdout is not None
    world_id = drill.stdout.readline().strip()
    assert left(world_id)
    assert (tmp_path / f"drill-{world_id}" / "noise_private.key").exists()
    os.kill(drill.pid, signal.SIGKILL)
    drill.communicate()
    assert until(lambda: not left(world_id), seconds=15)
    assert until(lambda: not list(tmp_path.glob("drill-*")))


#: A drill that has built its world, and never ends by itself.
DOOMED = """
import signal, sys
from pathlib import Path
from infra.access.docker import engine
from infra.drill import containers, isolation
from infra.drill.reaper import place_for_drill
from infra.drill.world import World
from infra.images.ensure import ensure_image
with place_for_drill(Path(sys.argv[1])) as place:
    world = World(id=place.world_id, host_name="hs.drill.test")
    isolation.create_network(world)
    recipe = containers.Recipe(
        image=ensure_image(isolation.PYTHON_IMAGE),
        entrypoint=("python3", "-c", "import signal; signal.pause()"),
        volumes={"data": "/data"},
    )
    containers.create(world, "inside", recipe).start()
    (place.folder / "noise_private.key").write_text("restored")
    print(world.id, flush=True)
    signal.pause()
"""


def test_a_drill_that_ends_takes_everything_with_it(tmp_path: Path) -> None:
    with place_for_drill(tmp_path) as place:
        world = World(id=place.world_id, host_name="hs.drill.test")
        isolation.create_network(world)
        start(world, "inside")
        assert left(world.id)
    assert not left(world.id)
    assert list(tmp_path.iterdir()) == []


def test_what_a_power_cut_left_behind_goes_with_the_next_drill() -> None:
    """The process and its reaper are both gone: the world's id names a process that ended."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)  # fmt: skip
    orphan = World(id=f"{int(ended.stdout)}-1-1", host_name="hs.drill.test")
    isolation.create_network(orphan)
    alive = World(id=new_id(), host_name="hs.drill.test")
    isolation.create_network(alive)
    remove_orphan_worlds()
    assert (left(orphan.id), left(alive.id)) == ([], [alive.network])
    remove_world(alive.id)


def left(world_id: str) -> list[str]:
    """Names of the containers, networks and volumes that a drill's world still has."""
    mine = {"label": f"{LABEL}={world_id}"}
    found = [
        *engine().containers.list(all=True, filters=mine, ignore_removed=True),
        *engine().networks.list(filters=mine),
        *engine().volumes.list(filters=mine),
    ]
    return [str(one.name) for one in found]


def until(is_so: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.1)
    return False
