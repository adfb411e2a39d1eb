"""A rehearsal's report in Markdown. Pure."""

from infra.drill.report import evidence_list
from infra.model.rehearsal import RehearsalReport, RehearsalVerdict
from infra.text import cell, duration

_HEADLINES = {
    RehearsalVerdict.PASSED: "**Passed.** The new version serves this mesh's data.",
    RehearsalVerdict.FAILED: "**Failed.** The new version does not serve this mesh's data; the "
    "upgrade is refused, and the host was not touched.",
    RehearsalVerdict.COULD_NOT_RUN: "**Could not run.** Nothing is known about this upgrade, so it "
    "is refused; the host was not touched.",
}


def render(report: RehearsalReport) -> str:
    """What was tried on which data, and what each proof found."""
    parts = [
        f"# {report.site}: rehearsal of {report.headline.partition(':')[0]}",
        _HEADLINES[report.verdict],
        f"> {cell(report.reason)}" if report.reason else "",
        _tried(report),
        evidence_list(report.evidence),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tried(report: RehearsalReport) -> str:
    stale = f" It is not a fresh one: {cell(report.not_fresh)}" if report.not_fresh else ""
    if report.snapshot is None or report.snapshot_age_seconds is None:
        return f"No snapshot was restored.{stale}"
    return (
        f"Snapshot `{report.snapshot}`, {duration(abs(report.snapshot_age_seconds))} from the "
        f"rehearsal's begin, was started under headscale {report.wanted} with the wanted "
        f"configuration, in an isolated network.{stale} All took {report.seconds:.0f} s."
    )
