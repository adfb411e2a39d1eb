"""The steps of a backup, one row in the UI each."""

from pathlib import Path

from infra.access.anchor import update_anchor
from infra.access.kept import session_by
from infra.access.login import backup_login
from infra.backup import collect, store
from infra.backup.collect import HostReport
from infra.backup.unpack import unpack
from infra.backup.verify import verify
from infra.model.anchor import Anchor, VerifiedSnapshot
from infra.model.snapshot import Manifest, SnapshotId
from tasks.definition import retried_step, step
from tasks.site import OpenSite


@retried_step(name="ask for a snapshot", task_run_name="ask {host} for a fresh snapshot")
def ask_for_snapshot(opened: OpenSite, host: str) -> HostReport:
    """What the host has, after it was asked for a fresh one."""
    with session_by(backup_login(opened.settings, opened.site, host)) as session:
        return collect.ask(session, opened.site.hosts[host])


@step(name="apply the retention", task_run_name="apply the retention to the repository")
def apply_retention(opened: OpenSite, anchor: Anchor) -> tuple[list[SnapshotId], str]:
    """The ids of what the repository holds afterwards; why it could not be applied, if so."""
    repository = store.site_repository(opened.settings, opened.site)
    new = anchor.last_verified is None
    stored, problem = store.expire(repository, opened.site, may_create=new)
    return [store.snapshot_id(snapshot) for snapshot in stored], problem


@retried_step(name="fetch a snapshot", task_run_name="fetch {snapshot} from {host}")
def fetch_snapshot(opened: OpenSite, host: str, snapshot: SnapshotId, folder: Path) -> int:
    """Bytes of the archive that now lies in `folder`."""
    with session_by(backup_login(opened.settings, opened.site, host)) as session:
        return collect.fetch(session, opened.site.hosts[host], snapshot, folder)


@step(name="verify a snapshot", task_run_name="verify {snapshot}")
def verify_snapshot(snapshot: SnapshotId, archive: Path, files: Path, anchor: Anchor) -> Manifest:
    unpack(archive / store.ARCHIVE, files)
    return verify(snapshot, files, anchor)


@step(name="store a snapshot", task_run_name="store {snapshot} in the repository")
def store_snapshot(
    opened: OpenSite, snapshot: SnapshotId, archive: Path, manifest: Manifest
) -> str:
    """restic's id of it. The anchor then knows it as the last verified one."""
    repository = store.site_repository(opened.settings, opened.site)
    restic_id = store.store(repository, opened.site.name, archive, manifest)
    verified = VerifiedSnapshot(id=snapshot, created_at=manifest.created_at, facts=manifest.facts)
    update_anchor(
        opened.settings,
        opened.site.name,
        lambda anchor: anchor.model_copy(update={"last_verified": verified}),
    )
    return restic_id
