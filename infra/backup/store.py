"""Snapshots in the restic repository: where it is, how they are tagged, how they come back."""

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from infra.access.names import addresses
from infra.access.restic import Origin, Repository, RepositoryMissing, Stored
from infra.backup.unpack import unpack
from infra.errors import BackupFailed, BadInput, RepositoryUnavailable
from infra.model.site import Site
from infra.model.snapshot import SNAPSHOT_ID, Manifest, SnapshotId
from infra.settings import Settings, read_secret

#: The one file in each restic snapshot: the archive as the host wrote it. Always the same name,
#: so that restic finds what hasn't changed.
ARCHIVE = "headscale.tar"
STACK = "headscale"
_REMOTE = re.compile(r"^(rest|sftp|s3|b2|azure|gs|swift|rclone):(.*)$")


def site_repository(settings: Settings, site: Site) -> Repository:
    """The site's repository; nothing is opened yet.

    Raises BadInput when a secret of it is missing, or when it lies on one of the site's own hosts:
    what dies together with the host is no backup.
    """
    location = site.backup.repository
    if remote := _REMOTE.match(location):
        _refuse_own_host(site, remote[1], remote[2])
    else:
        location = str(settings.site.parent / Path(location).expanduser())
    password = read_secret(settings, site.backup.password)
    credentials = {
        name: read_secret(settings, secret) for name, secret in site.backup.credentials.items()
    }
    return Repository(location, password, settings.state / "restic-cache", credentials)


def tags(site_name: str, *more: str) -> tuple[str, ...]:
    """The tags of every Headscale snapshot of a site."""
    return ("meshkeeper", f"stack={STACK}", f"site={site_name}", *more)


def snapshot_id(stored: Stored) -> str:
    """The sidecar's id of a stored snapshot."""
    ids = [tag.removeprefix("snapshot=") for tag in stored.tags if tag.startswith("snapshot=")]
    if len(ids) != 1 or not SNAPSHOT_ID.match(ids[0]):
        raise BackupFailed(f"restic snapshot {stored.id[:8]} carries no tag 'snapshot=<id>'.")
    return ids[0]


def find(repository: Repository, site_name: str, wanted: str) -> Stored:
    """The newest stored snapshot (`wanted` = "latest"), or the one with that id.

    Raises BackupFailed when there is none.
    """
    which = () if wanted == "latest" else (f"snapshot={wanted}",)
    found = repository.snapshots(tags(site_name, *which))
    if not found:
        raise BackupFailed(
            f"{repository} holds no snapshot of {site_name} ({wanted}).",
            "Run `meshkeeper backup`, or see what there is: restic snapshots.",
        )
    return found[-1]


def expire(
    repository: Repository, site: Site, *, may_create: bool
) -> tuple[tuple[Stored, ...], str]:
    """Apply the site's retention; what the repository then holds of it, oldest first.

    Also why it could not be applied, or an empty string: that keeps no new snapshot out.

    It keeps numbers (so many hourly, daily …), not ages: a host that is silent for a month loses
    nothing. A repository that isn't there is made if it `may_create`, which is for the first time
    only: later it means that a disk is not mounted (RepositoryMissing).
    """
    try:
        return repository.forget(tags(site.name), site.backup.retention), ""
    except RepositoryMissing:
        if not may_create:
            raise
        repository.create()
        return (), ""
    except RepositoryUnavailable as error:
        return repository.snapshots(tags(site.name)), error.message


def lacking(on_host: Iterable[SnapshotId], stored: Iterable[SnapshotId]) -> list[SnapshotId]:
    """The host's snapshots that the repository still needs, oldest first.

    Those newer than its newest: what the retention has let expire must not come back, and a host
    that invents old snapshots can't push real ones out.
    """
    newest = max(stored, default="")
    return sorted(snapshot for snapshot in on_host if snapshot > newest)


def store(repository: Repository, site_name: str, folder: Path, manifest: Manifest) -> str:
    """Store the verified ARCHIVE in `folder` (and nothing else is there) with its own time.

    Returns restic's id of it.
    """
    origin = Origin(
        host=site_name,
        time=manifest.created_at,
        tags=tags(site_name, f"snapshot={manifest.id}"),
    )
    return repository.backup(folder, origin)


def restore(repository: Repository, stored: Stored, folder: Path) -> Manifest:
    """Restore a stored snapshot and unpack it into the empty `folder`; its manifest."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as restored:
        repository.restore(stored.id, Path(restored))
        return unpack(Path(restored) / ARCHIVE, folder)


def _refuse_own_host(site: Site, backend: str, rest: str) -> None:
    name = _host_of(backend, rest)
    own = {host.address for host in site.hosts.values()} | {site.domain, site.headscale_name}
    places = {place for known in own for place in addresses(known, site.network.resolver)}
    if name in own or (name and addresses(name, None) & places):
        raise BadInput(
            f"backup.repository is on {name}, which is one of the site's own hosts.",
            "Name a place that survives the loss of that host, such as a path at home.",
        )


def _host_of(backend: str, rest: str) -> str:
    """The host in `sftp:user@host:/path`, `rest:https://user:pw@host:8000/`, `s3:host/bucket`."""
    if "//" in rest:
        return urlsplit(rest if "://" in rest else f"{backend}:{rest}").hostname or ""
    return re.split(r"[:/]", rest.rsplit("@", 1)[-1], maxsplit=1)[0].lower()
