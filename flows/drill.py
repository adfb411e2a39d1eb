"""The restore drill: would this backup bring the mesh back?"""

import time
from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.definition import site_flow
from infra.drill.case import Case
from infra.drill.findings import (
    IN_ISOLATION,
    Findings,
    not_isolated,
    report_of,
    unusable,
)
from infra.drill.gather import unknown, why_unknown
from infra.drill.reaper import Place, place_for_drill
from infra.drill.report import render
from infra.errors import BackupFailed, BadInput
from infra.model.drill import (
    CLIENT,
    RESTORE,
    START,
    DrillReport,
    Evidence,
    Kind,
    Outcome,
    Verdict,
)
from infra.model.request import DrillRequest
from tasks.drill import case_of, isolate, prove, restore_snapshot
from tasks.report import publish_report
from tasks.site import OpenSite, open_site


@site_flow(name="restore-drill", run_name="drill {request.snapshot} of {request.site}")
def restore_drill(request: DrillRequest) -> State[Any]:
    """Restore a snapshot in isolation, gather six kinds of evidence, and say what they prove."""
    opened = open_site(request.site)
    started_at = datetime.now(UTC)
    staging = opened.settings.site_dir(request.site) / "staging"
    with place_for_drill(staging) as place:
        findings = _drilled(opened, request.snapshot, place)
        # Before the place is cleared: trouble with that must not cost us the answer.
        report = report_of(request.site, findings, started_at)
        publish_report("restore-drill", render(report), report)
    return _ended(report)


def _drilled(opened: OpenSite, wanted: str, place: Place) -> Findings:
    began = time.monotonic()
    try:
        restored = restore_snapshot(opened, wanted, place.folder)
    except BadInput:
        raise
    except BackupFailed as error:
        return unusable(str(error))
    except Exception as error:  # noqa: BLE001 - whatever broke says nothing of the backup
        return Findings(problem=why_unknown(error))
    took = time.monotonic() - began
    return proved(case_of(opened, restored, place.world_id), {RESTORE: took})


def proved(case: Case, phases: dict[str, float]) -> Findings:
    """All evidence of a restored snapshot; `phases`: seconds that went by until here."""
    evidence = [_evidence(Kind.FILES, case)]
    began = time.monotonic()
    try:
        case = isolate(case)
        phases |= {START: time.monotonic() - began}
        for kind in IN_ISOLATION:
            evidence.append(_evidence(kind, case))
            if kind is Kind.LOGIN:
                case = case.model_copy(update={"login_seconds": evidence[-1].seconds})
        phases |= _until_online(evidence)
    except Exception as error:  # noqa: BLE001 - whatever broke says nothing of the backup
        evidence += not_isolated(why_unknown(error))
    return Findings(restored=case.restored, evidence=tuple(evidence), phases=phases)


def _evidence(kind: Kind, case: Case) -> Evidence:
    """Its row may be red: that is an answer, not an exception."""
    found = prove(kind, case, return_state=True).result(raise_on_failure=False)
    return found if isinstance(found, Evidence) else unknown(kind, "its step did not end")


def _until_online(evidence: list[Evidence]) -> dict[str, float]:
    logins = [one for one in evidence if one.kind is Kind.LOGIN]
    return {CLIENT: one.seconds for one in logins if one.outcome is Outcome.PASSED}  # noqa: B035


def _ended(report: DrillReport) -> State[Any]:
    """The verdict as a state: three names that never look alike."""
    if report.verdict is Verdict.VERIFIED:
        return Completed(name="Verified", message=f"Snapshot {report.snapshot} is verified.")
    name = "Failed" if report.verdict is Verdict.FAILED else "CouldNotRun"
    return Failed(name=name, message=report.reason)
