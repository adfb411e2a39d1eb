"""A drill's report as one would show it to somebody else."""

import re

from infra.model.drill import CLIENT, DrillReport, Evidence, Outcome, Verdict
from infra.text import cell, duration

_HEADLINES = {
    Verdict.VERIFIED: "**Verified.** This backup brings the mesh back.",
    Verdict.FAILED: "**Failed.** This backup does not bring the mesh back.",
    Verdict.COULD_NOT_RUN: "**Could not run.** Nothing is known about this backup: this is "
    "neither a good nor a bad result.",
}
_MARKS = {
    Outcome.PASSED: "✔",
    Outcome.FAILED: "✘",
    Outcome.NOT_REACHED: "–",
    Outcome.COULD_NOT_RUN: "?",
}


def render(report: DrillReport) -> str:
    """The report in Markdown."""
    parts = [
        f"# Restore drill of {report.site}",
        _HEADLINES[report.verdict],
        f"> {cell(report.reason)}" if report.reason else "",
        _restored(report),
        evidence_list(report.evidence),
        _recovery(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _restored(report: DrillReport) -> str:
    began = f"The drill began at {report.started_at:%Y-%m-%d %H:%M:%S} UTC."
    if report.snapshot is None:
        return f"## What was restored\n\nNo snapshot was restored. {began}"
    taken = ""
    if report.snapshot_created_at:
        taken = f", taken at {report.snapshot_created_at:%Y-%m-%d %H:%M:%S} UTC"
    image = f" Server: `{cell(report.image)}`, in an isolated network." if report.image else ""
    return f"## What was restored\n\nSnapshot `{report.snapshot}`{taken}.{image} {began}"


def evidence_list(evidence: tuple[Evidence, ...]) -> str:
    """Each proof with its outcome, in Markdown; empty without any."""
    if not evidence:
        return ""
    return "\n".join(["## Evidence", "", *(_proof(one) for one in evidence)])


def _proof(one: Evidence) -> str:
    """A list, since the UI's tables don't wrap: what was found would be out of sight."""
    found = cell(_shortened(one.reason or one.found))
    return (
        f"- {_MARKS[one.outcome]} **{one.kind}: {one.outcome}** ({one.seconds:.1f} s)\n"
        f"  - expected: {cell(_shortened(one.expected))}\n"
        f"  - found: {found}"
    )


def _shortened(text: str) -> str:
    """Keys and digests by their beginning; the JSON report has them whole."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)


def _recovery(report: DrillReport) -> str:
    if report.recovery_point_seconds is None:
        return ""
    lines = [
        "## Recovery",
        "",
        f"**Recovery point:** {duration(report.recovery_point_seconds)} before the drill began. "
        "What happened in the mesh since then would be lost with the VPS. If only data on it is "
        "damaged, the sidecar's newest snapshot is there, too: the last backup's report names it.",
    ]
    if report.phases:
        total = sum(report.phases.values())
        until = "until a client was online again"
        if CLIENT not in report.phases:
            until = "and no client came online"
        lines += ["", f"**Recovery time:** {total:.1f} s {until}.", ""]
        lines += ["| phase | seconds |", "|---|---|"]
        lines += [f"| {cell(name)} | {seconds:.1f} |" for name, seconds in report.phases.items()]
    return "\n".join(lines)
