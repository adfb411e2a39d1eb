"""Reads and writes the anchor of a site; every write is atomic, and loses no other."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from infra.errors import CouldNotRun
from infra.model.anchor import Anchor
from infra.settings import Settings


def anchor_path(settings: Settings, site: str) -> Path:
    return settings.site_dir(site) / "anchor.json"


def known_hosts_path(settings: Settings, site: str) -> Path:
    """OpenSSH known_hosts with the site's pinned host keys."""
    return settings.site_dir(site) / "known_hosts"


def canary_state_path(settings: Settings, site: str) -> Path:
    """tailscaled's state of the canary: a secret (0600)."""
    return settings.site_dir(site) / "canary.state"


def canary_key(settings: Settings, site: str) -> str | None:
    """The node key of the canary whose state this machine has."""
    known = load_anchor(settings, site).canary
    return known.node_key if known and canary_state_path(settings, site).exists() else None


def load_anchor(settings: Settings, site: str) -> Anchor:
    """The stored anchor, or an empty one before the first rollout.

    Raises CouldNotRun for a file that is none: an empty one in its place would trust any server.
    """
    path = anchor_path(settings, site)
    if not path.exists():
        return Anchor()
    try:
        return Anchor.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise CouldNotRun(
            f"{path} is no anchor of this version of meshkeeper (at {where or 'its beginning'}).",
            "Put it back from a backup of this machine, or go back to the version that wrote it. "
            "A lab is made anew by `make lab-down`.",
        ) from error


def save_anchor(settings: Settings, site: str, anchor: Anchor) -> None:
    write_private(anchor_path(settings, site), anchor.model_dump_json(indent=2).encode())


def update_anchor(settings: Settings, site: str, change: Callable[[Anchor], Anchor]) -> Anchor:
    """Change the stored anchor; a backup and a rollout may do so in the same moment."""
    with (settings.site_dir(site) / ".anchor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        anchor = change(load_anchor(settings, site))
        save_anchor(settings, site, anchor)
    return anchor


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only we can read; a reader sees the old or the new, never a half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
