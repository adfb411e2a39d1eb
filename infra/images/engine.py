"""The engine that images are pulled, built and loaded by."""

from functools import cache

import docker
from docker import DockerClient
from docker.errors import DockerException
from docker.models.images import Image

from infra.access.docker import engine as local_engine

PROBE_SECONDS = 5
BUILD_SECONDS = 1800


@cache
def engine() -> DockerClient:
    """One patient client for the process, apart from everybody's. Raises `DockerUnavailable`."""
    local_engine()
    return docker.from_env(timeout=BUILD_SECONDS, max_pool_size=32)


@cache
def registry_answers(name: str) -> bool:
    """Ask the engine for an image's description at its registry: false after 5 s at the latest.

    A missing image counts as an answer.
    """
    try:
        docker.from_env(timeout=PROBE_SECONDS).images.get_registry_data(name)
    except (DockerException, OSError) as error:
        return getattr(error, "status_code", None) in (401, 403, 404)
    return True


def find_image(name: str) -> Image | None:
    """The image of that name, if the engine has it."""
    try:
        return engine().images.get(name)
    except docker.errors.ImageNotFound:
        return None


def image_bytes(name: str) -> int:
    """Size of an image that the engine has, unpacked."""
    return int(engine().images.get(name).attrs["Size"])
