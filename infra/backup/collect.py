"""Asks the host for a fresh snapshot and fetches snapshots: pulled, never pushed.

All that arrives is the word of a suspect: strict forms, bounded sizes, paths of our own.
"""

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, ValidationError

from infra.access.session import Session
from infra.backup.report import snapshot_time
from infra.backup.store import ARCHIVE
from infra.backup.unpack import MAX_ARCHIVE
from infra.backup.verify import CLOCK_TOLERANCE
from infra.errors import StepFailed
from infra.model.base import Model
from infra.model.fields import BACKUP_USER
from infra.model.site import Host
from infra.model.snapshot import SnapshotId
from infra.planning.host_backup import program_text
from infra.text import plain

_TIMEOUT = 180
Sentence = Annotated[str, StringConstraints(max_length=1_000)]


def _a_moment(snapshot: str) -> str:
    snapshot_time(snapshot)  # ValueError for month 13
    return snapshot


HostsId = Annotated[SnapshotId, AfterValidator(_a_moment)]


class HostReport(Model):
    """What infra/backup/host_requests.py says."""

    fresh: HostsId | None = Field(description="The snapshot that was just made.")
    fresh_error: Sentence = Field(description="Why there is none.")
    snapshots: dict[HostsId, Annotated[int, Field(ge=0)]] = Field(
        max_length=10_000, description="Bytes by id."
    )
    last_error: Sentence = Field(description="Of the sidecar's own last attempt, if it failed.")
    last_own: HostsId | None = Field(description="The newest that the sidecar's loop made.")
    sidecar: Literal[
        "running", "created", "restarting", "paused", "exited", "removing", "dead", "missing"
    ]
    sidecar_started: AwareDatetime | None
    now: AwareDatetime = Field(description="The host's clock, UTC.")


def ask(session: Session, host: Host) -> HostReport:
    """Have a fresh snapshot made and list what is there; one round trip.

    A snapshot that could not be made is part of the report. Raises StepFailed when the host's
    answer is none.
    """
    step = "asking for a fresh snapshot"
    command, stdin = _request(session, host, "report")
    answer = session.check(step, command, stdin=stdin, timeout=_TIMEOUT)
    try:
        return HostReport.model_validate_json(answer)
    except ValidationError as error:
        what = ", ".join(str(problem["loc"][:1]) for problem in error.errors()[:3])
        raise StepFailed(
            f"{session.login.name}: {step}: its answer is no report ({what})."
        ) from None


def fetch(session: Session, host: Host, snapshot: SnapshotId, folder: Path) -> int:
    """Fetch a snapshot's bytes to `folder`/ARCHIVE (0600); their number.

    Raises StepFailed beyond MAX_ARCHIVE bytes, or when the host can't read it.
    """
    step = f"fetching snapshot {snapshot}"
    command, stdin = _request(session, host, f"fetch {snapshot}")
    target = folder / ARCHIVE
    target.touch(mode=0o600)
    with target.open("wb") as stream:
        for chunk in session.receive(step, command, MAX_ARCHIVE, stdin):
            stream.write(chunk)
    return target.stat().st_size


def _request(session: Session, host: Host, request: str) -> tuple[str, bytes]:
    """A request's command and standard input.

    The backup's account has the program already and says but the request; the admin brings it.
    """
    if session.login.user == BACKUP_USER:
        return request, b""
    return session.as_root(f"python3 -IS - {request}"), program_text(host).encode()


def sidecar_problems(report: HostReport, interval_minutes: int, now: datetime) -> list[str]:
    """What is wrong `now` with the sidecar's own backups, whether or not one was made for us."""
    problems = []
    if abs(report.now - now) > CLOCK_TOLERANCE:
        problems.append(f"The host's clock is off: it shows {report.now:%Y-%m-%d %H:%M} UTC.")
    if report.fresh is None:
        problems.append(
            f"No fresh snapshot could be made: {plain(report.fresh_error) or 'no reason told'}"
        )
    if report.last_error:
        problems.append(f"The sidecar's own last snapshot failed: {plain(report.last_error)}")
    if report.sidecar != "running":
        problems.append(
            f"The container headscale-backup is {report.sidecar}: the host makes no snapshots by itself."
        )
    elif (silent := _silent_minutes(report)) > 2 * interval_minutes:
        problems.append(
            f"The sidecar made no snapshot by itself for {silent:.0f} min"
            f" (every {interval_minutes} min expected); the last was {report.last_own or 'none'}."
        )
    return problems


def freshness_problems(report: HostReport, newest_stored: SnapshotId | None) -> list[str]:
    """What is called fresh must be there to be fetched, and newer than all that we have."""
    if report.fresh is None:
        return []
    if report.fresh not in report.snapshots:
        return [
            f"The host says that it made {report.fresh}, which is not among its snapshots: does"
            " the sidecar write to another folder than the one that is looked at?"
        ]
    if newest_stored is None or report.fresh > newest_stored:
        return []
    return [
        f"The host calls {report.fresh} fresh, which is not newer than {newest_stored} in the"
        " repository, and was left there: its clock went back, or it made no snapshot."
    ]


def _silent_minutes(report: HostReport) -> float:
    """Since the loop's last snapshot; a loop that has just begun gets its time."""
    since = [report.sidecar_started] if report.sidecar_started else []
    if report.last_own:
        since.append(snapshot_time(report.last_own))
    return (report.now - max(since)).total_seconds() / 60 if since else math.inf
