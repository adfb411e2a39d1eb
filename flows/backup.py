"""The hourly backup: collect the host's snapshots, verify each, store them, say what was found."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from flows.definition import site_flow
from infra.access.anchor import load_anchor, update_anchor
from infra.access.kept import keeping_connections
from infra.backup.changes import changes
from infra.backup.collect import HostReport, freshness_problems, sidecar_problems
from infra.backup.report import markdown, recovery_point
from infra.backup.staging import staging, workplace
from infra.backup.store import lacking, site_repository
from infra.errors import BackupFailed, CouldNotRun, StepFailed
from infra.model.anchor import Anchor
from infra.model.backup import BackupReport, RecoveryPoint, RefusedSnapshot, StoredSnapshot
from infra.model.request import BackupRequest
from infra.model.snapshot import MeshFacts, SnapshotId
from tasks.backup import (
    apply_retention,
    ask_for_snapshot,
    fetch_snapshot,
    store_snapshot,
    verify_snapshot,
)
from tasks.report import publish_report
from tasks.site import OpenSite, open_site

#: A run fetches until it has this many bytes, or this many seconds went by; the next one goes on.
#: A host that offers snapshots without end fills no disk, and holds up no later run.
MOST_BYTES, MOST_SECONDS = 2 * 1024**3, 45 * 60
#: After so many bad ones only the newest is still tried.
MOST_REFUSED = 20
#: Told in one report: sentences on the mesh's changes; a reason's characters.
MOST_CHANGES, LONGEST_REASON = 1_000, 2_000


@dataclass
class Found:
    """What a run has come upon so far."""

    anchor: Anchor
    kept: list[SnapshotId] = field(default_factory=list)
    host_report: HostReport | None = None
    stored: list[StoredSnapshot] = field(default_factory=list)
    refused: list[RefusedSnapshot] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    fetched: int = 0  # bytes
    waiting: int = 0
    untried: int = 0  # because too many were bad
    unexpired: str = ""  # why the retention could not be applied
    stopped_by: CouldNotRun | StepFailed | None = None


@site_flow(name="headscale-backup", run_name="back up {request.site}")
def headscale_backup(request: BackupRequest) -> BackupReport:
    """Have a fresh snapshot made, then verify and store all that the repository lacks."""
    started_at = datetime.now(UTC)
    opened = open_site(request.site)
    anchor = load_anchor(opened.settings, request.site)
    with staging(opened.settings, request.site) as folder, keeping_connections():
        found = ask_and_expire(opened, anchor)
        collect_all(opened, found, folder)
    report = report_of(opened, found, started_at)
    publish_report("headscale-backup", markdown(report), report)
    update_anchor(opened.settings, request.site, told)
    if found.stopped_by:
        raise found.stopped_by
    if report.problems:
        raise BackupFailed(f"{opened.site.name}: {' '.join(report.problems[:3])}")
    return report


def ask_and_expire(opened: OpenSite, anchor: Anchor) -> Found:
    """Both at once: the host is busy with the snapshot, restic with opening its repository.

    A host that gives no answer keeps nobody from telling what the repository holds.
    """
    found = Found(anchor)
    expiring = apply_retention.submit(opened, anchor)
    try:
        found.host_report = ask_for_snapshot(opened, opened.site.stacks.headscale.host)
    except (CouldNotRun, StepFailed) as error:
        found.stopped_by = error
    finally:
        expiring.wait()
    found.kept, found.unexpired = expiring.result()
    return found


def collect_all(opened: OpenSite, found: Found, folder: Path) -> None:
    """Oldest first, so that a killed run goes on where it ended. A bad one stops no other.

    Many bad ones don't stop the newest: they are tried in each run until a good one follows them.
    """
    deadline = time.monotonic() + MOST_SECONDS
    known = untold(found)
    queue = lacking(found.host_report.snapshots if found.host_report else (), found.kept)
    for done, snapshot in enumerate(queue):
        if found.fetched > MOST_BYTES or time.monotonic() > deadline:
            found.waiting = len(queue) - done
            return
        if len(found.refused) >= MOST_REFUSED and snapshot != queue[-1]:
            found.untried += 1
            continue
        try:
            stored, facts = collect(opened, found, snapshot, folder)
        except (BackupFailed, StepFailed) as error:
            reason = str(error)[:LONGEST_REASON]
            found.refused.append(RefusedSnapshot(id=snapshot, reason=reason))
            continue
        except CouldNotRun as error:
            # What was stored until now is told in any case.
            found.stopped_by = error
            return
        found.stored.append(stored)
        if known:
            compare(found, known, facts)
        known = facts


def untold(found: Found) -> MeshFacts | None:
    """The facts that the first snapshot is compared with: those last verified.

    What a killed run verified and never reported is told now.
    """
    verified, reported = found.anchor.last_verified, found.anchor.last_reported
    if verified and reported:
        compare(found, reported.facts, verified.facts)
    return verified.facts if verified else None


def compare(found: Found, before: MeshFacts, after: MeshFacts) -> None:
    """Note what changed; one sentence more than may be told says that there are more."""
    found.changes += islice(changes(before, after), MOST_CHANGES + 1 - len(found.changes))


def told(anchor: Anchor) -> Anchor:
    return anchor.model_copy(update={"last_reported": anchor.last_verified})


def collect(
    opened: OpenSite, found: Found, snapshot: SnapshotId, folder: Path
) -> tuple[StoredSnapshot, MeshFacts]:
    """Fetch, verify and store one snapshot."""
    host = opened.site.stacks.headscale.host
    with workplace(folder, snapshot) as (archive, files):
        try:
            size = fetch_snapshot(opened, host, snapshot, archive)
        finally:  # what came of one that failed was fetched, too
            found.fetched += sum(file.stat().st_size for file in archive.iterdir())
        manifest = verify_snapshot(snapshot, archive, files, found.anchor)
        restic_id = store_snapshot(opened, snapshot, archive, manifest)
    stored = StoredSnapshot(
        id=snapshot, created_at=manifest.created_at, size=size, restic_id=restic_id
    )
    return stored, manifest.facts


def on_host(found: Found, now: datetime) -> RecoveryPoint | None:
    """The newest there, if it could be asked. One that was found bad brings nothing back."""
    if found.host_report is None:
        return None
    bad = {refused.id for refused in found.refused}
    newest = max((s for s in found.host_report.snapshots if s not in bad), default=None)
    return recovery_point(newest, now)


def problems_of(opened: OpenSite, found: Found, now: datetime) -> list[str]:
    problems: list[str] = []
    if found.host_report:
        interval = opened.site.stacks.headscale.backup.interval_minutes
        problems += sidecar_problems(found.host_report, interval, now)
        problems += freshness_problems(found.host_report, max(found.kept, default=None))
    problems += [refused.reason for refused in found.refused]
    if found.untried:
        problems.append(f"{found.untried} more snapshots were not tried: too many others are bad.")
    if len(found.changes) > MOST_CHANGES:
        problems.append(f"More changed in the mesh than the {MOST_CHANGES} changes that are told.")
    if found.unexpired:
        problems.append(f"The retention could not be applied: {found.unexpired}")
    if found.waiting:
        problems.append(f"{found.waiting} snapshots wait for the next run.")
    if found.stopped_by:
        problems.append(f"Stopped: {found.stopped_by}")
    return problems


def report_of(opened: OpenSite, found: Found, started_at: datetime) -> BackupReport:
    now = datetime.now(UTC)
    verified = [*found.kept, *(stored.id for stored in found.stored)]
    newest = max(verified, default=None)
    sizes = {**(found.host_report.snapshots if found.host_report else {})}
    sizes |= {stored.id: stored.size for stored in found.stored}
    reported = found.anchor.last_reported
    return BackupReport(
        site=opened.site.name,
        started_at=started_at,
        stored=tuple(found.stored),
        refused=tuple(found.refused),
        newest_verified=newest,
        newest_size=sizes.get(newest) if newest else None,
        changes=tuple(found.changes[:MOST_CHANGES]),
        compared_with=reported.id if reported else None,
        if_data_is_damaged=on_host(found, now),
        if_host_is_lost=recovery_point(newest, now),
        repository=str(site_repository(opened.settings, opened.site)),
        kept=len(verified),
        sidecar_last_own=found.host_report.last_own if found.host_report else None,
        problems=tuple(problems_of(opened, found, now)),
    )
