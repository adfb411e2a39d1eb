"""Provisioning: from root by key on a bare machine to a hardened Docker host."""

import time

from flows.definition import site_flow
from infra.host.provision import Outlook, Target, after
from infra.host.report import markdown
from infra.model.host_change import AppliedChange, ProvisionReport
from infra.model.request import ProvisionRequest
from tasks.host import change_host, observe_host, pin, prove_in_order, wait_until_settled
from tasks.lock import locked_host
from tasks.report import publish_report
from tasks.site import open_site


@site_flow(name="provision", run_name="provision {request.host} of {request.site}")
def provision(request: ProvisionRequest) -> ProvisionReport:
    """Observe and plan; where something differs, lock the host and bring it in order."""
    began = time.monotonic()
    opened = open_site(request.site)
    target = Target(opened.settings, opened.site, request.host)
    pin(target)
    outlook = observe_host(target)
    target = target._replace(user=outlook.user)
    if not outlook.settled:
        outlook = wait_until_settled(target)
    applied: list[AppliedChange] = []
    if not outlook.plan.empty:
        with locked_host(target, f"provision {request.host}") as held:
            outlook, applied = bring_in_order(held)
    report = ProvisionReport(
        host=request.host,
        changes=tuple(applied),
        notes=outlook.plan.notes,
        round_trips=outlook.round_trips,
        seconds=round(time.monotonic() - began, 2),
        machine=outlook.machine,
    )
    publish_report("provision", markdown(report), report)
    return report


def bring_in_order(target: Target) -> tuple[Outlook, list[AppliedChange]]:
    """Look again, now that nobody else changes anything; make each change, and prove that none is left."""
    outlook = observe_host(target)
    applied: list[AppliedChange] = []
    for change in outlook.plan.changes:
        applied.append(change_host(target, change))
        target = after(target, change)
    if applied:
        outlook = prove_in_order(target)
    return outlook, applied
