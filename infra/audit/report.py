"""An audit as text for people: in the terminal and in the UI. Pure."""

from infra.model.audit import AuditReport, Finding, Grade, HostAudit
from infra.text import cell

_HEADLINES = {
    Grade.IN_ORDER: "**In order.**",
    Grade.TO_DO: "**There is something to do.**",
    Grade.NOT_ASKED: "**Not all could be asked.** Of what answered, nothing is to do.",
}
_MARKS = {Grade.IN_ORDER: "✔", Grade.TO_DO: "✘", Grade.NOT_ASKED: "?"}
#: What needs a reader comes first.
_ORDER = (Grade.TO_DO, Grade.NOT_ASKED, Grade.IN_ORDER)


def render(report: AuditReport) -> str:
    """The report in Markdown."""
    parts = [
        f"# Audit of {report.site}",
        f"{_HEADLINES[report.grade]} {report.score}.",
        f"It began at {report.started_at:%Y-%m-%d %H:%M:%S} UTC, and changed nothing.",
        *(_host(audit) for audit in report.hosts),
    ]
    return "\n\n".join(parts) + "\n"


def sentence(report: AuditReport) -> str:
    """What is not in order, in one sentence for the run's state."""
    told = [
        f"{audit.host}: {one.item} {one.grade} ({one.state})"
        for grade in _ORDER[:2]
        for audit in report.hosts
        for one in audit.findings
        if one.grade is grade
    ]
    return "; ".join([report.score, *told]) + "."


def _host(audit: HostAudit) -> str:
    """A list, since the UI's tables don't wrap."""
    lines = [f"## {audit.host}", ""]
    for grade in _ORDER:
        lines += [_finding(one) for one in audit.findings if one.grade is grade]
    lines += [f"- Not asked: {cell(note)}" for note in audit.notes]
    return "\n".join(lines)


def _finding(one: Finding) -> str:
    head = f"- {_MARKS[one.grade]} **{one.item}: {one.grade}** – {cell(one.state)}"
    lines = [head, f"  - asked: {cell(one.proof)}"]
    return "\n".join([*lines, f"  - do: {cell(one.todo)}"] if one.todo else lines)
