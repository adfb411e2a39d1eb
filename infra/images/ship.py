"""An image on its way to another engine, told as it goes."""

import logging
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context

from infra.images.parcel import Parcel

CHUNK = 1024 * 1024
#: Seconds between two lines in the log.
TELL_EVERY = 5
log = logging.getLogger(__name__)


def chunks(parcel: Parcel) -> Iterator[bytes]:
    """The parcel's bytes. Another thread may take them: the lines go to the run that asked."""
    return _told(parcel, copy_context().run)


def _told(parcel: Parcel, run: Callable[..., None]) -> Iterator[bytes]:
    began = told = time.monotonic()
    sent = 0
    with parcel.path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
            sent += len(chunk)
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                run(log.info, progress(parcel, sent, told - began))


def progress(parcel: Parcel, sent: int, seconds: float) -> str:
    """`caddy:2.11.4: 12.0 of 19.2 MB sent in 15 s`."""
    return (
        f"{parcel.name}: {sent / 1e6:.1f} of {parcel.size / 1e6:.1f} MB sent in {seconds:.0f} s "
        f"({parcel.sent} of its {parcel.layers} layers)"
    )
