"""Going back to an earlier release of one stack: files, images and, where it must be, data."""

from flows.definition import site_flow
from flows.rollout import Progress, all_back, told
from infra.errors import BadInput, GateFailed, LockLost
from infra.model.release import BringRelease, ReplaceData, RollbackPlan, RollbackReport
from infra.model.request import RollbackRequest
from infra.model.stack import Check, RenderedStack
from infra.rollout.outlook import wanted_stacks
from infra.rollout.rollback import markdown
from tasks import rollback as steps
from tasks import rollout
from tasks.lock import locked
from tasks.report import publish_report
from tasks.site import OpenSite, open_site


@site_flow(
    name="rollback", run_name="take {request.stack} of {request.site} back to {request.release}"
)
def rollback(request: RollbackRequest) -> RollbackReport:
    """Bring a release as a rollout would: the present is kept, and comes back when a gate is red."""
    require_confirmed(request)
    opened = open_site(request.site)
    stack = wanted_stacks(opened.settings, opened.site, (request.stack,))[request.stack]
    with locked(opened, (stack.host,), f"rollback of {stack.name}") as held:
        return gone_back(held, stack, request)


def gone_back(opened: OpenSite, stack: RenderedStack, request: RollbackRequest) -> RollbackReport:
    """Planned and carried out; what was there comes back when a gate is red."""
    plan, policy = steps.look(opened, stack, request)
    if policy:
        steps.announce(opened, policy)
    report = RollbackReport(site=request.site, stack=request.stack, plan=plan)
    try:
        checks = carry_out(opened, stack, plan)
    except LockLost:
        raise
    except Exception as error:
        progress = Progress(touched=[stack])
        failed = GateFailed(*told(error, all_back(opened, progress)))
        diff = progress.diffs.get(stack.name, "")
        publish(report.model_copy(update={"failure": str(failed), "diff": diff}))
        raise failed from error
    rollout.finish(opened, stack)
    if policy:
        steps.confirm(opened, policy)
    report = report.model_copy(update={"checks": checks})
    publish(report)
    return report


def require_confirmed(request: RollbackRequest) -> None:
    """One click destroys nothing. Raises BadInput."""
    if request.confirm != request.site:
        raise BadInput(
            f"Going back may lose data, and was not confirmed: write {request.site} in `confirm`.",
            f"`meshkeeper rollback --to {request.release}` shows first what would be lost.",
        )


def carry_out(opened: OpenSite, stack: RenderedStack, plan: RollbackPlan) -> tuple[Check, ...]:
    """What is planned, and the gates: the stack's own, and the one from outside."""
    for change in plan.changes:
        if isinstance(change, BringRelease):
            steps.bring(opened, stack, change)
        elif isinstance(change, ReplaceData):
            steps.replace_data(opened, stack, change)
    steps.start(opened, stack)
    here = rollout.gate_on_host(opened, stack)
    return here + rollout.gate_outside(opened, (stack.name,))


def publish(report: RollbackReport) -> None:
    publish_report("rollback", markdown(report), report)
