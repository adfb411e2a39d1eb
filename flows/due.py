"""Whether a scheduled run is still due.

A control machine that slept finds several scheduled runs waiting. The first of them does the work;
the others see its success and end at once: whatever was missed becomes one run.
"""

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext

#: The state of a run that did nothing: it makes no other superfluous.
NOT_DUE = "NotDue"


def made_superfluous_by() -> str | None:
    """The name of a run that succeeded since this one was scheduled; None where this one is due.

    Only runs that a schedule made can be superfluous: who asks for a run gets it.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.auto_scheduled or run.deployment_id is None:
        return None
    success = _success_since_scheduled(run)
    return success.name if success else None


def _success_since_scheduled(run: FlowRun) -> FlowRun | None:
    succeeded = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType.COMPLETED]),
            name=FlowRunFilterStateName(not_any_=[NOT_DUE]),
        ),
        start_time=FlowRunFilterStartTime(after_=run.expected_start_time),
    )
    of_this_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[run.deployment_id]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=succeeded, deployment_filter=of_this_deployment, limit=1
        )
    return found[0] if found else None
