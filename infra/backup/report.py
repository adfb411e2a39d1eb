"""A backup's report as markdown, for the Prefect UI. Names in it come from the host: made plain."""

from datetime import UTC, datetime

from infra.model.backup import BackupReport, RecoveryPoint
from infra.model.snapshot import SnapshotId
from infra.text import plain

#: Changes and problems that are shown; the rest is counted.
_SHOWN = 100


def snapshot_time(snapshot: SnapshotId) -> datetime:
    """The moment that an id states."""
    return datetime.strptime(snapshot, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def recovery_point(newest: SnapshotId | None, now: datetime) -> RecoveryPoint:
    if newest is None:
        return RecoveryPoint()
    return RecoveryPoint(id=newest, age_seconds=(now - snapshot_time(newest)).total_seconds())


def markdown(report: BackupReport) -> str:
    outcome = "failed" if report.problems else "done"
    parts = [
        f"# Backup of {report.site}: {outcome}",
        _items("Problems", report.problems),
        _summary(report),
        _stored(report),
        _items(f"Changed in the mesh since {_compared_with(report)}", report.changes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: BackupReport) -> str:
    size = f", {_bytes(report.newest_size)}" if report.newest_size is not None else ""
    rows = [
        ("Newest verified snapshot", f"{report.newest_verified or 'none'}{size}"),
        ("Recovery point if data on the host is damaged", _point(report.if_data_is_damaged)),
        ("Recovery point if the host is lost", _point(report.if_host_is_lost)),
        ("Repository", f"`{report.repository}`, {report.kept} snapshots"),
        ("Newest that the host made by itself", _last_own(report)),
        ("Changed in the mesh", _change_count(report)),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _last_own(report: BackupReport) -> str:
    return report.sidecar_last_own or ("none" if report.if_data_is_damaged else "unknown")


def _change_count(report: BackupReport) -> str:
    if report.compared_with is None and not report.changes:
        return "first backup, nothing to compare with"
    return f"{len(report.changes) or 'nothing'} since {_compared_with(report)}"


def _compared_with(report: BackupReport) -> str:
    return report.compared_with or "the first snapshot"


def _stored(report: BackupReport) -> str:
    if not report.stored:
        return ""
    rows = [f"| {s.id} | {_bytes(s.size)} | `{s.restic_id[:8]}` |" for s in report.stored[-_SHOWN:]]
    title = f"## Verified and stored in this run: {len(report.stored)}"
    return "\n".join([title, "", "| snapshot | size | restic |", "|---|---|---|", *rows])


def _items(title: str, items: tuple[str, ...]) -> str:
    if not items:
        return ""
    more = [f"- and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    lines = [f"- {plain(item)}" for item in items[:_SHOWN]]
    return "\n".join([f"## {title}", "", *lines, *more])


def _point(point: RecoveryPoint | None) -> str:
    if point is None:
        return "unknown: the host gave no answer"
    return f"{point.id}, {_age(point.age_seconds or 0)} ago" if point.id else "**none**"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _bytes(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MiB"
