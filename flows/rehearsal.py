"""The rehearsal of an upgrade: would the wanted headscale serve what is on the host?"""

from datetime import UTC, datetime
from typing import Any, cast

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.backup import headscale_backup
from flows.definition import site_flow
from flows.drill import proved
from infra.access.anchor import canary_key
from infra.drill.findings import Findings, unusable
from infra.drill.gather import why_unknown
from infra.drill.reaper import Place, place_for_drill
from infra.drill.rehearsal import report_of
from infra.drill.rehearsal_report import render
from infra.errors import BackupFailed, BadInput, CouldNotRun, RehearsalFailed
from infra.model.rehearsal import RehearsalReport, RehearsalVerdict, Upgrade
from infra.model.request import BackupRequest, RehearsalRequest
from infra.model.stack import RenderedStack
from infra.planning.upgrade import with_version
from infra.rollout.outlook import wanted_stacks
from tasks.drill import case_of, restore_snapshot
from tasks.rehearsal import prepare
from tasks.report import publish_report
from tasks.site import OpenSite, open_site


@site_flow(name="upgrade-rehearsal", run_name="rehearse headscale {request.to} for {request.site}")
def upgrade_rehearsal(request: RehearsalRequest) -> State[Any]:
    """Start another version of headscale on the newest snapshot, in isolation, and prove it."""
    opened = open_site(request.site)
    if request.to != "wanted":
        opened = opened._replace(site=with_version(opened.site, request.to))
    version = opened.site.stacks.headscale.version
    headscale = wanted_stacks(opened.settings, opened.site, ("headscale",))["headscale"]
    report = rehearse(opened, headscale, Upgrade(running=None, wanted=version))
    return Completed(name="Passed", message=report.headline)


def rehearse(opened: OpenSite, headscale: RenderedStack, upgrade: Upgrade) -> RehearsalReport:
    """Rehearse an upgrade; the report of one that passed.

    Raises RehearsalFailed when the new version does not serve the data, CouldNotRun when that is
    not known, BadInput for a step that headscale can't take. None of them touched the host.
    """
    begun = _begun(opened, upgrade)
    staging = opened.settings.site_dir(opened.site.name) / "staging"
    with place_for_drill(staging) as place:
        findings = _found(opened, headscale, begun, place)
        # Before the place is cleared: trouble with that must not cost us the answer.
        report = report_of(findings, begun, datetime.now(UTC))
        publish_report("upgrade-rehearsal", render(report), report)
    _require_passed(report)
    return report


def _begun(opened: OpenSite, upgrade: Upgrade) -> RehearsalReport:
    started_at = datetime.now(UTC)
    return RehearsalReport(
        site=opened.site.name,
        running=upgrade.running,
        wanted=upgrade.wanted,
        snapshot=None,
        snapshot_age_seconds=None,
        evidence=(),
        verdict=RehearsalVerdict.COULD_NOT_RUN,
        not_fresh=_why_not_fresh(opened),
        started_at=started_at,
        seconds=0,
    )


def _why_not_fresh(opened: OpenSite) -> str:
    """Have a fresh snapshot made and stored; why there is none, or an empty string.

    Then what the repository has must do: a repository without any stops the rehearsal anyway.
    """
    request = BackupRequest(site=opened.site.name)
    state = cast("State[Any]", headscale_backup(request, return_state=True))
    return "" if state.is_completed() else str(state.message)


def _found(
    opened: OpenSite, headscale: RenderedStack, begun: RehearsalReport, place: Place
) -> Findings:
    try:
        _require_canary(opened)
        restored = restore_snapshot(opened, "latest", place.folder)
        case = case_of(opened, restored, place.world_id)
        case = prepare(case, headscale, begun)
    except BadInput:
        raise
    except BackupFailed as error:
        return unusable(str(error))
    except Exception as error:  # noqa: BLE001 - whatever broke says nothing of the upgrade
        return Findings(problem=why_unknown(error))
    return proved(case, {})


def _require_canary(opened: OpenSite) -> None:
    """Not the drill's own words: a rollout of the wanted version would be refused again."""
    if canary_key(opened.settings, opened.site.name) is None:
        raise CouldNotRun(
            "No canary is enrolled in production, so no client can try the new version.",
            "Write the version that runs at stacks.headscale.version and run 'meshkeeper rollout', "
            "which enrols one.",
        )


def _require_passed(report: RehearsalReport) -> None:
    told = f"{report.headline} {report.reason}".strip()
    if report.verdict is RehearsalVerdict.FAILED:
        stay = report.running or "the version that runs"
        raise RehearsalFailed(told, f"Stay with it: write {stay} at stacks.headscale.version.")
    if report.verdict is RehearsalVerdict.COULD_NOT_RUN:
        raise CouldNotRun(told, "Try again when the cause is gone.")
