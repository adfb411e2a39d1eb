"""A rollout as text for people. Pure."""

from infra.model.approval import Approval
from infra.model.stack import RolloutReport
from infra.text import cell


def markdown(report: RolloutReport) -> str:
    """What was planned, done and proved."""
    plans = "\n\n".join(part.describe() for part in report.plan.parts)
    title = "rolled out" if not report.failure else "the rollout failed"
    parts = [f"# {report.site}: {title}", *_quoted(report.failure), plans]
    parts += report.plan.described_way
    if report.approval:
        parts.append(_approved(report.approval))
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
    return "\n\n".join(parts) + "\n"


def _quoted(text: str) -> list[str]:
    """As it is: log lines of a service may hold what markdown or HTML would act on."""
    return ["\n".join(f"    {line}" for line in text.splitlines())] if text else []


def _approved(approval: Approval) -> str:
    return f"Approved by {cell(approval.by)} on {approval.at:%Y-%m-%d at %H:%M} UTC: plan {approval.plan[:12]}."
