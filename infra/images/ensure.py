"""Have images ready in the engine: there already, pulled, or built from pinned packages."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from docker.errors import APIError

from infra.errors import ImageUnavailable
from infra.images.build import LABEL, build_image
from infra.images.cache import exclusive
from infra.images.catalog import CATALOG
from infra.images.engine import engine, find_image, registry_answers
from infra.images.inputs import image_hash
from infra.images.platforms import own
from infra.images.spec import Dockerfile, ImageSpec

Report = Callable[[str], None]
#: Threads: most of them wait for a lock, since Go's builds go one by one.
AT_ONCE = 12
PROBE = "debian:trixie-slim"


def silent(_line: str) -> None:
    pass


def ensure_images(names: Iterable[str], report: Report = silent) -> dict[str, str]:
    """Name -> image id ("sha256:…") of each, made ready at the same time.

    Raises `ImageUnavailable` or `DockerUnavailable`.
    """
    wanted = list(dict.fromkeys(names))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return dict(
            zip(wanted, threads.map(lambda name: ensure_image(name, report), wanted), strict=True)
        )


def ensure_image(name: str, report: Report = silent) -> str:
    """The id of the image ("sha256:…"), which the engine has afterwards.

    A catalogued image is rebuilt when its recipe changed; one that was pulled is left as it is.
    Raises `ImageUnavailable` or `DockerUnavailable`.
    """
    spec = CATALOG.get(name)
    if image_id := _ready(name, spec):
        return image_id
    with exclusive(name):
        if image_id := _ready(name, spec):
            return image_id
        started = time.monotonic()
        how = _obtain(name, spec, report)
        report(f"{name}: {how} in {time.monotonic() - started:.0f} s")
        return str(engine().images.get(name).id)


def _ready(name: str, spec: ImageSpec | None) -> str | None:
    """The id, if the engine has the image and it came from a registry or of today's recipe.

    One for another processor may lie there under that name: a person pulled it.
    """
    image = find_image(name)
    if image is None or image.attrs["Architecture"] != own():
        return None
    built_from = image.labels.get(LABEL)
    pulled = bool(image.attrs["RepoDigests"]) and (spec is None or spec.official)
    if pulled or (spec and built_from == image_hash(spec, CATALOG)):
        return str(image.id)
    return None


def _obtain(name: str, spec: ImageSpec | None, report: Report) -> str:
    """Pull or build it; returns the word for what was done."""
    if (spec is None or spec.official) and registry_answers(PROBE):
        report(f"{name}: pulling")
        if _pulled(name):
            return "pulled"
    if spec is None:
        raise ImageUnavailable(
            f"{name} can't be pulled, and meshkeeper has no recipe to build it.",
            f"Make a container registry reachable, or use one of: {', '.join(CATALOG)}.",
        )
    if isinstance(spec.recipe, Dockerfile):
        for needed in spec.recipe.needs:
            ensure_image(needed, report)
    report(f"{name}: building")
    build_image(spec, image_hash(spec, CATALOG))
    return "built"


def _pulled(name: str) -> bool:
    try:
        engine().images.pull(name)
    except APIError:
        return False
    return True
