"""What a rollout has to know of an image before it is sent: that it is there, its id, its size."""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.images.engine import image_bytes
from infra.images.ensure import Report, ensure_images, silent
from infra.images.foreign import foreign_archive
from infra.images.identity import configuration_id, configuration_of
from infra.images.platforms import Architecture, own


@dataclass(frozen=True)
class ReadyImage:
    """`image_id`: the configuration's digest; `size`: in bytes, unpacked."""

    image_id: str
    size: int


def ready_images(
    names: Iterable[str], architecture: Architecture, report: Report = silent
) -> dict[str, ReadyImage]:
    """Have them pulled or built for that processor. Raises ImageUnavailable, DockerUnavailable."""
    wanted = list(dict.fromkeys(names))
    if architecture != own():
        return {name: _foreign(name, architecture, report) for name in wanted}
    ensure_images(wanted, report)
    return {name: ReadyImage(configuration_id(name), image_bytes(name)) for name in wanted}


def _foreign(name: str, architecture: Architecture, report: Report) -> ReadyImage:
    archive = foreign_archive(name, architecture, report)
    with archive.open("rb") as stream:
        image_id = configuration_of(iter(lambda: stream.read(1 << 20), b""))
    return ReadyImage(image_id, archive.stat().st_size)
