"""How a flow ends: a named state with one readable sentence, and a report."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.schedules import CronSchedule
from prefect.flow_engine import run_flow_sync
from prefect.states import Completed
from pydantic import BaseModel

from flows.definition import site_flow
from flows.due import made_superfluous_by
from infra.errors import BadInput, CouldNotRun, GateFailed, HostKeyMismatch, Unreachable
from infra.model.request import BackupRequest
from tasks.definition import retried_step, step
from tasks.report import publish_report
from tasks.site import open_site


class Seen(BaseModel):
    site: str


def declared(error: Exception | None = None) -> Flow[[BackupRequest], Any]:
    @site_flow(name="trial", run_name="try {request.site}")
    def trial(request: BackupRequest) -> str:
        """A flow for tests."""
        opened = open_site(request.site)
        if error:
            raise error
        publish_report("trial", "# Seen", Seen(site=opened.site.name))
        return opened.site.name

    return trial


def ended(flow: Flow[[BackupRequest], Any], site: str) -> State[Any]:
    state: State[Any] = flow(BackupRequest(site=site), return_state=True)
    return state


def test_a_flow_that_breaks_says_nothing_of_the_backup(site_name: str) -> None:
    state = ended(declared(OSError(28, "No space left on device")), site_name)
    assert state.name == "CouldNotRun"
    assert "The flow itself broke (OSError)" in str(state.message)


@step(name="refuse", task_run_name="refuse")
def refuse() -> None:
    raise CouldNotRun("No Docker.", "Start it.")


def test_an_error_raised_on_purpose_is_logged_without_a_traceback(
    site_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    @site_flow(name="trial", run_name="try {request.site}")
    def trial(request: BackupRequest) -> None:
        refuse()

    assert ended(trial, site_name).name == "CouldNotRun"
    assert "No Docker." in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (BadInput("No such host.", "Write vps."), "BadInput"),
        (Unreachable("vps does not answer.", "Is it on?"), "CouldNotRun"),
        (CouldNotRun("No Docker.", "Start it."), "CouldNotRun"),
        (GateFailed("vps: headscale is not healthy.", "The old state is back."), "Failed"),
    ],
)
def test_an_error_becomes_a_named_state_with_one_sentence(
    error: Exception, name: str, site_name: str
) -> None:
    state = ended(declared(error), site_name)
    assert (state.name, state.message) == (name, str(error))


def test_another_sites_name_is_bad_input() -> None:
    state = ended(declared(), "other.example")
    assert state.name == "BadInput"
    assert "keeps cronova.dev" in str(state.message)


def test_a_run_is_called_after_its_site_and_its_report_is_text_and_data(site_name: str) -> None:
    state = ended(declared(), site_name)
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        artifacts = {a.type: a.data for a in client.read_artifacts(artifact_filter=of_run)}
        assert client.read_flow_run(run_id).name == "try cronova.dev"
    # Prefect keeps what is no markdown as JSON text.
    assert artifacts == {"markdown": "# Seen", "report": '{"site": "cronova.dev"}'}


def test_the_form_of_a_flow_comes_from_its_request() -> None:
    schema = declared().parameters.model_dump()
    request = schema["definitions"]["BackupRequest"]
    assert "site" in request["properties"]
    assert request["properties"]["site"]["description"] == "The site's domain, as in its site file."


def missed_runs(flow: Flow[[BackupRequest], Any], name: str) -> list[FlowRun]:
    """Two runs that the server's scheduler planned, both for minutes that have passed."""
    now = datetime.now(UTC)
    every_minute = DeploymentScheduleCreate(schedule=CronSchedule(cron="* * * * *"))
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(flow.name)
        deployment = client.create_deployment(flow_id, name, schedules=[every_minute])
        span = {"start_time": str(now - timedelta(minutes=3)), "end_time": str(now), "max_runs": 2}
        client.request("POST", f"/deployments/{deployment}/schedule", json=span)
        of_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        runs = client.read_flow_runs(deployment_filter=of_deployment)
    assert len(runs) == 2
    assert all(run.auto_scheduled for run in runs)
    return runs


def run_planned(flow: Flow[[BackupRequest], Any], run: FlowRun) -> State[Any]:
    parameters = {"request": BackupRequest(site="cronova.dev")}
    state: State[Any] = run_flow_sync(
        flow, flow_run=run, parameters=parameters, return_type="state"
    )
    return state


def test_missed_runs_become_one_run() -> None:
    flow = declared()
    first, second = missed_runs(flow, "missed")
    assert run_planned(flow, first).name == "Completed"
    superfluous = run_planned(flow, second)
    assert superfluous.name == "NotDue"
    assert "'try cronova.dev' succeeded since" in str(superfluous.message)


def test_a_failed_run_makes_no_other_superfluous() -> None:
    flow = declared(CouldNotRun("No Docker."))
    for run in missed_runs(flow, "failed"):
        assert run_planned(flow, run).name == "CouldNotRun"


def test_a_flow_outside_of_a_schedule_is_always_due(site_name: str) -> None:
    assert made_superfluous_by() is None
    assert ended(declared(), site_name).name == "Completed"
    assert ended(declared(), site_name).name == "Completed"


@pytest.mark.parametrize(
    ("error", "runs"), [(Unreachable("gone"), 3), (HostKeyMismatch("other key"), 1)]
)
def test_only_a_lost_connection_is_tried_again(error: Exception, runs: int) -> None:
    tried = []

    @retried_step(name="lose", task_run_name="lose")
    def lose() -> None:
        tried.append(1)
        raise error

    hurried = lose.with_options(retry_delay_seconds=0)

    @site_flow(name="loser", run_name="lose {request.site}")
    def loser(request: BackupRequest) -> None:
        hurried()

    assert ended(loser, "x").name == "CouldNotRun"
    assert len(tried) == runs


def test_a_step_takes_a_connection_without_a_cache() -> None:
    @step(name="use", task_run_name="use")
    def use(connection: object) -> int:
        return 1

    @site_flow(name="user", run_name="use {request.site}")
    def user(request: BackupRequest) -> State[Any]:
        use(object())
        return Completed(name="Verified")

    assert ended(user, "x").name == "Verified"
