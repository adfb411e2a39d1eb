"""What a dead worker left in the control plane's books, put right before the next one starts."""

from datetime import UTC, datetime

from deployments.embedded.api import IN_FLIGHT, Api, Json

_SCHEDULED = {"type": {"any_": ["SCHEDULED"]}}


def end_dead_runs(api: Api) -> int:
    """Mark the runs of a dead worker as crashed and free their slots; how many there were.

    Only to be called when no process of a run lives.
    """
    dead = api.runs(state={"type": {"any_": list(IN_FLIGHT)}})
    for run in dead:
        message = "The control plane was stopped or lost power while this run was going on."
        api.set_state(run["id"], {"type": "CRASHED", "message": message})
    for deployment in api.deployments():
        limit = deployment.get("global_concurrency_limit")
        if limit and limit["active_slots"]:
            api.reset_slots(limit)
    return len(dead)


def missed_deployments(api: Api) -> set[str]:
    """Ids of deployments with a scheduled run whose time has passed; those runs are cancelled."""
    now = datetime.now(UTC)
    late = [run for run in api.runs(state=_SCHEDULED) if _is_missed(run, now)]
    for run in late:
        message = "Missed while the control plane was down: one run makes up for all."
        api.set_state(run["id"], {"type": "CANCELLED", "name": "Missed", "message": message})
    return {run["deployment_id"] for run in late}


def make_up_for(api: Api, deployment_id: str, site: str) -> None:
    """Start the one run that stands for all missed ones of a deployment."""
    api.start_run(deployment_id, {"site": site})


def _is_missed(run: Json, now: datetime) -> bool:
    expected = run["expected_start_time"]
    return bool(run["auto_scheduled"] and expected and datetime.fromisoformat(expected) <= now)
