"""A rollout as text for people. Pure."""

from textwrap import indent

from infra.model.approval import SHORT, Approval
from infra.model.stack import RolloutReport
from infra.text import cell


def markdown(report: RolloutReport) -> str:
    """What was planned, done and proved."""
    plans = "\n\n".join(part.describe() for part in report.plan.parts)
    title = "rolled out" if not report.failure else "the rollout failed"
    parts = [
        f"# {report.site}: {title}",
        quoted(report.failure),
        *_diffs(report),
        plans,
        *report.plan.described_way,
        approved(report.approval),
    ]
    if report.applied:
        rows = [f"| {a.item} | {cell(a.summary)} | {a.seconds:.1f} s |" for a in report.applied]
        parts.append("\n".join(["| step | what was done | time |", "|---|---|---|", *rows]))
    if report.checks:
        rows = [f"| {c.name} | {cell(c.found)} | {c.seconds:.1f} s |" for c in report.checks]
        parts.append("\n".join(["| asked | found | time |", "|---|---|---|", *rows]))
    if report.users_created:
        parts.append(f"Users created: {', '.join(report.users_created)}.")
    if report.canary:
        word = "enrolled" if report.canary_enrolled else "is enrolled"
        parts.append(f"The canary {report.canary} {word}.")
    return "\n\n".join(filter(None, parts)) + "\n"


def quoted(text: str) -> str:
    """As it is: log lines and names of devices may hold what markdown or HTML would act on."""
    return indent(text, "    ")


def _diffs(report: RolloutReport) -> list[str]:
    return [
        f"The files of {name} that failed, beside those that serve again:\n\n{quoted(diff)}"
        for name, diff in report.diffs.items()
    ]


def approved(approval: Approval | None) -> str:
    """Who said yes, when, and to what; empty where nobody was asked."""
    if approval is None:
        return ""
    return f"Approved by {cell(approval.by)} on {approval.at:%Y-%m-%d at %H:%M} UTC: plan {approval.plan[:SHORT]}."
