"""What a pinned image name means here: the image's own id, as recorded by the last rollout.

An image that was shipped has no registry digest. The record also spares `plan` the engine.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infra.access.anchor import write_private
from infra.images.platforms import own
from infra.settings import Settings

#: Stands for an image of which no rollout has recorded anything: no host has it.
UNKNOWN = "sha256:unknown"


def recorded_ids(
    settings: Settings, site: str, names: Iterable[str], architecture: str
) -> dict[str, str]:
    """Image id by name, for that processor; UNKNOWN where no rollout has recorded one."""
    recorded: dict[str, str] = _recorded(_ids(settings, site))
    return {name: recorded.get(key_of(name, architecture), UNKNOWN) for name in names}


def record_ids(settings: Settings, site: str, ids: Mapping[str, str]) -> None:
    """Once they serve: ids by `key_of`. Older versions stay, since a rollout may go back to them."""
    _record(_ids(settings, site), ids)


def record_unknown_ids(
    settings: Settings, site: str, ids: Mapping[str, str], architecture: str
) -> None:
    """Those of names that no rollout has recorded: with others they would be an unseen change."""
    known = recorded_ids(settings, site, ids, architecture)
    unknown = {key_of(name, architecture): ids[name] for name in ids if known[name] == UNKNOWN}
    record_ids(settings, site, unknown)


def key_of(name: str, architecture: str) -> str:
    """As in the engine, the bare name is our own processor's image."""
    return name if architecture == own() else f"{name} for {architecture}"


def recorded_sizes(settings: Settings, site: str) -> dict[str, int]:
    """Bytes by name, unpacked; those that no rollout has recorded are left out."""
    sizes: dict[str, int] = _recorded(_sizes(settings, site))
    return sizes


def record_sizes(settings: Settings, site: str, sizes: Mapping[str, int]) -> None:
    _record(_sizes(settings, site), sizes)


def _ids(settings: Settings, site: str) -> Path:
    return settings.site_dir(site) / "images.json"


def _sizes(settings: Settings, site: str) -> Path:
    return settings.site_dir(site) / "image-sizes.json"


def _record(path: Path, values: Mapping[str, str | int]) -> None:
    recorded = {**_recorded(path), **values}
    write_private(path, json.dumps(recorded, indent=2, sort_keys=True).encode())


def _recorded(path: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return recorded
