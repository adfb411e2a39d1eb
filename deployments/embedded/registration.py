"""Registering the deployments of prefect.yaml for one site: its schedules, its name as default.

Imports Prefect and the flows, so it runs as a program of its own beside the control plane's start.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.processutils import command_to_string, get_sys_executable

from infra.model.site import Site
from infra.site_file import load_site

PREFECT_FILE = Path(__file__).parents[2] / "prefect.yaml"
POOL = "meshkeeper"
#: How the worker starts a run. Left to itself it first starts a process that prepares a workspace, of
#: which ours has none, and which imports Prefect only to give way to this command.
COMMAND = command_to_string([get_sys_executable(), "-m", "prefect.engine"])


def register(site: Site) -> None:
    """Create or update the work pool and every deployment at $PREFECT_API_URL."""
    with get_client(sync_client=True) as client:
        _create_pool(client)
        for definition in definitions():
            _register_one(client, site, definition)


def definitions() -> list[dict[str, Any]]:
    """The deployments as prefect.yaml states them."""
    loaded: list[dict[str, Any]] = yaml.safe_load(PREFECT_FILE.read_text())["deployments"]
    return loaded


def schedules(site: Site, entrypoint: str) -> list[DeploymentScheduleCreate]:
    """The site's schedule of a flow; empty for flows that people start."""
    crons = {
        "flows.backup.headscale_backup": site.backup.schedule,
        "flows.drill.restore_drill": site.drill.schedule,
        "flows.audit.audit": site.audit.schedule,
    }
    cron = crons.get(entrypoint)
    if cron is None:
        return []
    schedule = CronSchedule(cron=cron, timezone=site.timezone)
    return [DeploymentScheduleCreate(schedule=schedule, active=True, slug="site")]


def defaults(site: Site, entrypoint: str) -> dict[str, str]:
    """What a flow's form is filled in with; the request's own defaults come on top."""
    host = {"host": next(iter(site.hosts))} if entrypoint == "flows.provision.provision" else {}
    return {"site": site.name, **host}


def _register_one(client: SyncPrefectClient, site: Site, definition: dict[str, Any]) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(definition["entrypoint"])
    limit = _limit(definition)
    client.create_deployment(
        flow_id=client.create_flow_from_name(flow.name),
        name=definition["name"],
        entrypoint=definition["entrypoint"],
        description=definition["description"],
        tags=[*definition["tags"], site.name],
        schedules=schedules(site, definition["entrypoint"]),
        parameters={"request": defaults(site, definition["entrypoint"])},
        parameter_openapi_schema=flow.parameters.model_dump(exclude_unset=True),
        enforce_parameter_schema=True,
        concurrency_limit=limit.limit if limit else None,
        concurrency_options=_options(limit) if limit else None,
        work_pool_name=definition["work_pool"]["name"],
        work_queue_name=definition["work_pool"]["work_queue_name"],
        pull_steps=[],
        job_variables={"command": COMMAND},
    )


def _limit(definition: dict[str, Any]) -> ConcurrencyLimitConfig | None:
    given = definition.get("concurrency_limit")
    return ConcurrencyLimitConfig.model_validate(given) if given else None


def _options(limit: ConcurrencyLimitConfig) -> ConcurrencyOptions:
    given = limit.model_dump(exclude={"limit"}, exclude_none=True)
    return ConcurrencyOptions.model_validate(given)


def _create_pool(client: SyncPrefectClient) -> None:
    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    except ObjectAlreadyExists:
        return


if __name__ == "__main__":
    register(load_site(Path(sys.argv[1])))
