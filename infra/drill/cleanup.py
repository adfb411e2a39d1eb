"""Removing a drill's world, whoever made it and however far it got."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docker.errors import APIError, NotFound

from infra.access.docker import engine
from infra.drill.world import LABEL, is_orphan

#: A drill's private folder in the site's staging folder: this, then its world's id.
FOLDER_PREFIX = "drill-"
CONFLICT = 409

Filters = dict[str, str | list[str] | bool]


def remove_world(world_id: str) -> None:
    """Remove all containers, networks and volumes of one world; what is gone already is fine."""
    client = engine()
    mine: Filters = {"label": f"{LABEL}={world_id}"}
    containers = client.containers.list(all=True, filters=mine, ignore_removed=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda container: _gone(container.remove, force=True), containers))
    for network in client.networks.list(filters=mine):
        _gone(network.remove)
    for volume in client.volumes.list(filters=mine):
        _gone(volume.remove, force=True)


def remove_orphan_worlds() -> None:
    """Remove what drills left behind that were killed together with their reaper (power cut)."""
    for world_id in sorted(_labelled()):
        if is_orphan(world_id):
            remove_world(world_id)


def remove_orphan_folders(staging: Path) -> None:
    """The same for their private folders, in which restored keys lie."""
    for folder in staging.glob(f"{FOLDER_PREFIX}*"):
        if is_orphan(folder.name.removeprefix(FOLDER_PREFIX)):
            shutil.rmtree(folder, ignore_errors=True)


def _labelled() -> set[str]:
    client = engine()
    any_drill: Filters = {"label": LABEL}
    found = [
        *(
            c.labels
            for c in client.containers.list(all=True, filters=any_drill, ignore_removed=True)
        ),
        *(n.attrs["Labels"] for n in client.networks.list(filters=any_drill)),
        *(v.attrs["Labels"] for v in client.volumes.list(filters=any_drill)),
    ]
    return {labels[LABEL] for labels in found}


def _gone(remove: Callable[..., object], **options: bool) -> None:
    try:
        remove(**options)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != CONFLICT:  # somebody is removing it already
            raise
