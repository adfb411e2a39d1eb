"""Images on their way to another engine, which needs no registry."""

from collections.abc import Callable, Iterator, Sequence

from infra.images.engine import engine
from infra.images.ensure import ensure_images


def image_size(name: str) -> int:
    """Bytes that an image which is here takes when it is unpacked."""
    return int(engine().images.get(name).attrs["Size"])


def ship_images(names: Sequence[str], load: Callable[[Iterator[bytes]], None]) -> None:
    """Call `load` once per image with the archive that `docker load` takes, in chunks.

    Which images the other side lacks is the caller's to know. Raises `ImageUnavailable`.
    """
    ensure_images(names)
    for name in names:
        load(iter(engine().images.get(name).save(named=name)))
