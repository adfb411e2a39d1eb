"""Building the isolated world: a network without a way out, and in it what production has."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docker.types import IPAMConfig

from infra.access.docker import engine
from infra.drill import front, observer, server
from infra.drill.cleanup import remove_orphan_worlds
from infra.drill.world import World
from infra.images.ensure import ensure_image
from infra.model.base import Model
from infra.model.site import Site

#: The client in a drill, and the Python of its observers.
CLIENT_IMAGE = "tailscale/tailscale:v1.102.3"
PYTHON_IMAGE = "python:3.13-slim-trixie"


class Images(Model):
    """Image ids of what a drill runs."""

    headscale: str
    caddy: str
    tailscale: str
    python: str


def obtain_images(headscale: str, site: Site) -> Images:
    """Get or build what a drill runs; `headscale` is the manifest's word.

    Raises ImageUnavailable, and BackupFailed when that word names no released headscale.
    """
    return Images(
        headscale=ensure_image(server.official_image(headscale)),
        caddy=ensure_image(f"caddy:{site.stacks.caddy.version}"),
        tailscale=ensure_image(CLIENT_IMAGE),
        python=ensure_image(PYTHON_IMAGE),
    )


def build(world: World, images: Images, folder: Path, server_key: str | None) -> str:
    """Start everything but the clients on the unpacked snapshot in `folder`.

    Returns why the restored server does not run, or an empty string.
    """
    remove_orphan_worlds()
    create_network(world)
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(server.start, world, server.RESTORED, images.headscale, folder),
            pool.submit(front.start, world, images.caddy, server_key),
            pool.submit(server.start, world, server.SUCCESSOR, images.headscale, folder),
        ]
        for job in jobs:
            job.result()
    observer.start(world, images.python, folder)
    return server.wait_healthy(world, server.RESTORED)


def create_network(world: World) -> None:
    """A bridge that leads nowhere: neither to the internet nor to this machine.

    An internal network alone would still give this machine an address in it.
    """
    engine().networks.create(
        world.network,
        driver="bridge",
        internal=True,
        labels=world.labels,
        options={"com.docker.network.bridge.inhibit_ipv4": "true"},
        ipam=IPAMConfig(),
    )
