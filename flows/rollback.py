"""Going back to an earlier release of one stack: files, images and, where it must be, data."""

from flows.approval import ask, asks
from flows.definition import site_flow
from flows.rollout import Progress, all_back, told
from infra.errors import GateFailed, LockLost
from infra.model.approval import Approval
from infra.model.release import (
    BringRelease,
    EndRollout,
    ReplaceData,
    RollbackOutlook,
    RollbackPlan,
    RollbackReport,
)
from infra.model.request import RollbackRequest
from infra.model.stack import Check, PutBack, RenderedStack
from infra.rollout.outlook import wanted_stacks
from infra.rollout.rollback import markdown
from infra.rollout.watch import watch_of
from tasks import rollback as steps
from tasks import rollout
from tasks.lock import locked
from tasks.report import publish_report
from tasks.site import OpenSite, open_site


@site_flow(
    name="rollback", run_name="take {request.stack} of {request.site} back to {request.release}"
)
def rollback(request: RollbackRequest) -> RollbackReport:
    """Bring a release as a rollout would: the present is kept, and comes back when a gate is red.

    What was approved is compared with what it then takes: somebody may have joined meanwhile.
    """
    opened = open_site(request.site)
    stack = wanted_stacks(opened.settings, opened.site, (request.stack,))[request.stack]
    outlook = steps.look(opened, stack, request)
    approval: Approval | None = None
    while True:
        if asks(request, outlook.plan, approval):
            approval = ask(outlook.plan, again=approval is not None)
        with locked(opened, (stack.host,), f"rollback of {stack.name}") as held:
            outlook = steps.look(held, stack, request)
            if not asks(request, outlook.plan, approval):
                return gone_back(held, stack, outlook, approval)


def gone_back(
    opened: OpenSite, stack: RenderedStack, outlook: RollbackOutlook, approval: Approval | None
) -> RollbackReport:
    """What is planned; what was there comes back when a gate is red."""
    if outlook.policy:
        steps.announce(opened, outlook.policy)
    report = RollbackReport(
        site=opened.site.name, stack=stack.name, plan=outlook.plan, approval=approval
    )
    try:
        put_back = carry_out(opened, stack, outlook.plan)
        checks = gates(opened, stack)
    except LockLost:
        raise
    except Exception as error:
        progress = Progress(touched=[stack])
        failed = GateFailed(*told(error, all_back(opened, progress)))
        diff = progress.diffs.get(stack.name, "")
        publish(report.model_copy(update={"failure": str(failed), "diff": diff}))
        raise failed from error
    if put_back is None:
        rollout.finish(opened, stack)
    else:
        report = report.model_copy(update={"diff": put_back.diff, "data_of": put_back.data_of})
    if outlook.policy:
        steps.confirm(opened, outlook.policy)
    report = report.model_copy(update={"checks": checks})
    publish(report)
    return report


def carry_out(opened: OpenSite, stack: RenderedStack, plan: RollbackPlan) -> PutBack | None:
    """What is planned; what was put back of a rollout that was cut off."""
    put_back: PutBack | None = None
    for change in plan.changes:
        if isinstance(change, BringRelease):
            steps.bring(opened, stack, change)
        elif isinstance(change, ReplaceData):
            steps.replace_data(opened, stack, change)
        elif isinstance(change, EndRollout):
            put_back = rollout.put_back(opened, stack)
    if put_back is None:
        steps.start(opened, stack)
    return put_back


def gates(opened: OpenSite, stack: RenderedStack) -> tuple[Check, ...]:
    """Those of a rollout: on the host, from outside, watched."""
    here = rollout.gate_on_host(opened, stack)
    outside = rollout.gate_outside(opened, (stack.name,))
    return (*here, *outside, rollout.watch(opened, watch_of(stack)))


def publish(report: RollbackReport) -> None:
    publish_report("rollback", markdown(report), report)
