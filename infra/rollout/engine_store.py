"""What the host's engine has of images, as it says itself."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote

from infra.access.session import Session
from infra.errors import StepFailed
from infra.images.identity import CONTAINERD
from infra.model.stack import ShipImage

#: One line about the store, then one per image. An image that goes in between is left out.
ASK = (
    'docker info --format "{{json .DriverStatus}}"; '
    "docker image ls --all --quiet --no-trunc | sort -u | "
    'xargs --no-run-if-empty docker image inspect --format "{{json .RootFS.Layers}}" || true'
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class EngineStore:
    """`images`: the layers of each, lowest first. containerd's store names images otherwise than by
    their configuration, and takes whole archives only: of such a one no layers are told."""

    names_by_configuration: bool
    images: frozenset[tuple[str, ...]]


def engine_store(session: Session) -> EngineStore:
    answer = session.check("ask for its layers", session.as_root(f"sh -c {quote(ASK)}"))
    store, *lines = answer.decode(errors="replace").splitlines() or [""]
    if CONTAINERD in store:
        return EngineStore(names_by_configuration=False, images=frozenset())
    return EngineStore(names_by_configuration=True, images=frozenset(_layers(lines)))


def require_image(session: Session, change: ShipImage) -> None:
    """The name is that of the planned image now. Raises StepFailed."""
    command = f"docker image inspect --format '{{{{.Id}}}}' {quote(change.image)}"
    answer = session.check("look at the loaded image", session.as_root(command))
    there = answer.decode(errors="replace").strip()
    if there != change.image_id:
        raise StepFailed(
            f"{session.login.name}: after it was sent, {change.image} is {there[:80] or 'nothing'} "
            f"there, and not {change.image_id}.",
            "Nothing was started. Look at the host before you go on.",
        )


def _layers(lines: list[str]) -> Iterator[tuple[str, ...]]:
    """Of the lines that make sense; the host is not trusted with more than with a longer transfer."""
    for line in lines:
        try:
            layers = json.loads(line)
        except ValueError:
            continue
        if isinstance(layers, list) and all(
            isinstance(x, str) and _DIGEST.fullmatch(x) for x in layers
        ):
            yield tuple(layers)
