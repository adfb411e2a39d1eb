"""What a pinned image name means here: the image's own id, as recorded by the last rollout.

An image that was shipped has no registry digest. The record also spares `plan` the engine.
"""

import json
from collections.abc import Iterable, Mapping

from infra.access.anchor import write_private
from infra.settings import Settings

#: Stands for an image of which no rollout has recorded anything: no host has it.
UNKNOWN = "sha256:unknown"


def recorded_ids(settings: Settings, site: str, names: Iterable[str]) -> dict[str, str]:
    """Image id by name; UNKNOWN where no rollout has recorded one."""
    recorded = _recorded(settings, site)
    return {name: recorded.get(name, UNKNOWN) for name in names}


def record_ids(settings: Settings, site: str, ids: Mapping[str, str]) -> None:
    """Add to the record; older versions stay in it, since a rollout may go back to them."""
    recorded = {**_recorded(settings, site), **ids}
    path = settings.site_dir(site) / "images.json"
    write_private(path, json.dumps(recorded, indent=2, sort_keys=True).encode())


def _recorded(settings: Settings, site: str) -> dict[str, str]:
    path = settings.site_dir(site) / "images.json"
    recorded: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    return recorded
