"""From what a drill found to its report."""

from datetime import datetime

from pydantic import Field

from infra.drill.case import Restored
from infra.drill.gather import unknown
from infra.drill.proofs.outcome import failed, not_reached
from infra.drill.verdict import verdict
from infra.model.base import Model
from infra.model.drill import DrillReport, Evidence, Kind, Verdict

#: The proofs that need an isolated world, in the order in which they are made.
IN_ISOLATION = (Kind.IDENTITY, Kind.DATA, Kind.RELAY, Kind.LOGIN, Kind.RUNNING_CLIENT)


class Findings(Model):
    """What came out of a drill, however far it got."""

    restored: Restored | None = None
    evidence: tuple[Evidence, ...] = ()
    phases: dict[str, float] = Field(default={})
    problem: str = ""


def unusable(reason: str) -> Findings:
    """The repository gave something that is no snapshot: that backup is bad."""
    expected = "a snapshot of Headscale"
    first = failed(kind=Kind.FILES, expected=expected, found="none", reason=reason)
    rest = [
        not_reached(kind=kind, expected=expected, found="none", reason="nothing was restored")
        for kind in IN_ISOLATION
    ]
    return Findings(evidence=(first, *rest))


def not_isolated(reason: str) -> list[Evidence]:
    """The evidence that is lacking when no isolated world could be built."""
    return [unknown(kind, reason) for kind in IN_ISOLATION]


def report_of(site: str, findings: Findings, started_at: datetime) -> DrillReport:
    """The report, its proofs in the order of `Kind`."""
    manifest = findings.restored.manifest if findings.restored else None
    outcome, reason = verdict(findings.evidence)
    if findings.problem:
        outcome, reason = Verdict.COULD_NOT_RUN, findings.problem
    return DrillReport(
        site=site,
        snapshot=findings.restored.id if findings.restored else None,
        snapshot_created_at=manifest.created_at if manifest else None,
        image=manifest.image if manifest else None,
        evidence=tuple(sorted(findings.evidence, key=lambda one: list(Kind).index(one.kind))),
        verdict=outcome,
        reason=reason,
        started_at=started_at,
        phases={name: round(seconds, 3) for name, seconds in findings.phases.items()},
        recovery_point_seconds=(
            (started_at - manifest.created_at).total_seconds() if manifest else None
        ),
    )
