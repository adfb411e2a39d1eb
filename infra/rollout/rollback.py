"""Looks at a host for a way back: its plan, and in its notes what that would lose."""

from infra.access.session import Session
from infra.errors import StepFailed
from infra.mesh.users import nodes, users
from infra.model.release import (
    BringRelease,
    EndRollout,
    ReleaseId,
    ReplaceData,
    RollbackOutlook,
    RollbackReport,
)
from infra.model.request import RollbackRequest
from infra.model.stack import RenderedStack
from infra.planning.rollback import lost, plan_rollback
from infra.planning.room import require_room
from infra.rollout import files
from infra.rollout.report import approved, quoted

#: The stack of whose data is known who would be missing.
MESH = "headscale"
#: Where a release of headscale holds the policy.
POLICY = "config/policy.hujson"
AFTERWARDS = (
    "The host then differs from the site file: `meshkeeper plan` shows how, and the next rollout "
    "brings the site file's state again."
)


def outlook(session: Session, stack: RenderedStack, wanted: RollbackRequest) -> RollbackOutlook:
    """Changes nothing. Raises BadInput, CouldNotRun (too little disk, too), StepFailed."""
    there = files.releases(session, stack)
    plan = plan_rollback(stack, there, wanted)
    if any(isinstance(change, BringRelease) for change in plan.changes):
        require_room(stack.host, there, files=0, images=0)
    notes = [
        line
        for c in plan.changes
        if isinstance(c, ReplaceData | EndRollout) and c.data_of
        for line in _lost(session, stack, c.data_of)
    ]
    return RollbackOutlook(
        plan=plan.model_copy(update={"notes": (*notes, AFTERWARDS)}),
        policy=next(r.files.get(POLICY) for r in there.releases if r.id == wanted.release),
    )


def _lost(session: Session, stack: RenderedStack, data_of: ReleaseId) -> tuple[str, ...]:
    if stack.name != MESH:
        return ("What was written to its data since that snapshot would be lost.",)
    kept = files.manifest(session, stack, data_of)
    try:
        present = [user.name for user in users(session)], nodes(session)
    except StepFailed:
        return (
            f"The data are those of {kept.id}; what came later would be lost, and headscale does not "
            "answer, so nobody can say what that is.",
        )
    return lost(kept, *present)


def markdown(report: RollbackReport) -> str:
    """What was gone back to, and the proof. Pure."""
    failed = "the way back failed" if report.failure else "taken back"
    rows = [f"- {check.name}: {check.found} ({check.seconds:.1f} s)" for check in report.checks]
    parts = [
        f"# {report.site}: {report.stack} {failed}",
        quoted(report.failure),
        quoted(report.diff),
        quoted(report.plan.describe()),
        f"The data are those of {report.data_of} again." if report.data_of else "",
        approved(report.approval),
        "\n".join(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
