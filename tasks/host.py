"""The steps of a provisioning, one row in the UI each."""

import time

from infra.host.apply import apply_change
from infra.host.provision import (
    Outlook,
    Target,
    look,
    look_when_settled,
    pin_host_keys,
    require_in_order,
    way_in,
)
from infra.model.host_change import AppliedChange, HostChange
from tasks.definition import retried_step, step


@retried_step(name="pin the host key", task_run_name="pin the host key of {target.host}")
def pin(target: Target) -> bool:
    """True if the key was new to us."""
    return pin_host_keys(target)


@retried_step(name="observe", task_run_name="observe {target.host}")
def observe_host(target: Target) -> Outlook:
    return look(target)


@retried_step(name="settle", task_run_name="wait until cloud-init is done on {target.host}")
def wait_until_settled(target: Target) -> Outlook:
    return look_when_settled(target)


@step(name="change", task_run_name="{target.host}: {change.item}")
def change_host(target: Target, change: HostChange) -> AppliedChange:
    began = time.monotonic()
    with way_in(target) as session:
        apply_change(session, change, target.admin)
    return AppliedChange(
        item=change.item, summary=change.summary, seconds=round(time.monotonic() - began, 2)
    )


@retried_step(name="prove", task_run_name="prove that {target.host} is in order")
def prove_in_order(target: Target) -> Outlook:
    return require_in_order(target)
