"""An image whose top layer changed, sent to a host that has the others: time and bytes."""

import io
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deployments.lab.plan import LAB
from infra.access.docker import engine
from infra.access.login import admin_login
from infra.access.session import Session
from infra.access.ssh import connect
from infra.images.parcel import parcel
from infra.images.platforms import own
from infra.model.stack import ShipImage
from infra.rollout.apply import send_image
from infra.rollout.engine_store import engine_store
from infra.settings import load_settings
from infra.site_file import load_site

#: The sidecar's, which the host has.
BASE = "python:3.13-slim-trixie"
IMAGE = "meshkeeper-bench/top-layer:1"
#: Bytes of the top layer, which no compression makes smaller.
TOP = 1_000_000


def shipping() -> dict[str, Any]:
    """Against the whole image, as an engine saves it."""
    settings = load_settings(LAB.site_file)
    site = load_site(settings.site)
    with (
        connect(admin_login(settings, site, "vps")) as session,
        _with_another_top(session) as image,
    ):
        whole = sum(len(chunk) for chunk in engine().images.get(IMAGE).save(named=IMAGE))
        with parcel(IMAGE, own(), engine_store(session).images) as sent:
            size, layers = sent.size, f"{sent.sent} of {sent.layers}"
        began = time.monotonic()
        send_image(session, image, own())
        seconds = time.monotonic() - began
    print(
        f"an image with another top layer ({TOP / 1e6:.0f} MB): {size / 1e6:.2f} MB sent of "
        f"{whole / 1e6:.0f} ({layers} layers) in {seconds:.1f} s"
    )
    return {"bytes": size, "whole_bytes": whole, "layers": layers, "seconds": round(seconds, 2)}


@contextmanager
def _with_another_top(session: Session) -> Iterator[ShipImage]:
    """An image with a top layer that nobody has seen; gone from both engines at the end."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in {
            "Dockerfile": f"FROM {BASE}\nCOPY top /top\n".encode(),
            "top": os.urandom(TOP),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    context.seek(0)
    image, _ = engine().images.build(fileobj=context, custom_context=True, tag=IMAGE)
    try:
        yield ShipImage(item="bench.image", summary="send it", image=IMAGE, image_id=str(image.id))
    finally:
        engine().images.remove(IMAGE)
        session.run(session.as_root(f"docker image rm {IMAGE}"))
