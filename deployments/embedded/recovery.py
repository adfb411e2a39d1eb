"""What a dead worker left in the control plane's books, put right before the next one starts."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from deployments.embedded.api import IN_FLIGHT, Api, Json

_SCHEDULED = {"type": {"any_": ["SCHEDULED"]}}


def end_waiting_runs(api: Api) -> None:
    """End the runs that wait for a person's yes: nobody can give it once the server is stopped."""
    message = "The control plane was stopped while this run waited for a yes. Nothing was touched."
    for run in api.waiting():
        api.set_state(run["id"], {"type": "CANCELLED", "name": "NotApproved", "message": message})


def end_dead_runs(api: Api) -> int:
    """Mark the runs of a dead worker as crashed and free their slots; how many there were.

    Only to be called when no process of a run lives.
    """
    end_waiting_runs(api)
    dead = api.runs(state={"type": {"any_": list(IN_FLIGHT)}})
    for run in dead:
        message = "The control plane was stopped or lost power while this run was going on."
        api.set_state(run["id"], {"type": "CRASHED", "message": message})
    for deployment in api.deployments():
        limit = deployment.get("global_concurrency_limit")
        if limit and limit["active_slots"]:
            api.reset_slots(limit)
    return len(dead)


def due_deployments(api: Api) -> set[str]:
    """Ids of deployments that are due: by a scheduled run whose time has passed (those runs are
    cancelled), or since the last success is older than the last time of their schedule.
    """
    now = datetime.now(UTC)
    late = [run for run in api.runs(state=_SCHEDULED) if _is_missed(run, now)]
    for run in late:
        message = "Missed while the control plane was down: one run makes up for all."
        api.set_state(run["id"], {"type": "CANCELLED", "name": "Missed", "message": message})
    known = api.deployments()
    overdue = {deployment["id"] for deployment in known if _is_overdue(api, deployment, now)}
    return overdue | {run["deployment_id"] for run in late}


def make_up_for(api: Api, deployment_id: str, site: str) -> None:
    """Start the one run that stands for all missed ones of a deployment."""
    api.start_run(deployment_id, {"site": site})


def _is_overdue(api: Api, deployment: Json, now: datetime) -> bool:
    """Where there never was a success, a person begins."""
    successes = api.last_ended(deployment["id"], ("COMPLETED",))
    return any(
        datetime.fromisoformat(success["end_time"]) < _last_time(schedule["schedule"], now)
        for success in successes
        for schedule in deployment["schedules"]
    )


def _last_time(schedule: Json, now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(schedule["timezone"] or "UTC"))
    return next(CronSim(schedule["cron"], local, reverse=True))


def _is_missed(run: Json, now: datetime) -> bool:
    expected = run["expected_start_time"]
    return bool(run["auto_scheduled"] and expected and datetime.fromisoformat(expected) <= now)
