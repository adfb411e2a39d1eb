"""`provision`, `rollout`, `backup`, `drill`, `rehearse`, `audit`: run that flow, end with its result."""

import json
import sys
import time
from argparse import Namespace
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from deployments.cli.answer import Answer
from deployments.embedded import control_plane
from deployments.embedded.api import Api, Json
from deployments.embedded.control_plane import POOL
from infra.errors import BadInput, CouldNotRun
from infra.model.request import (
    AuditRequest,
    BackupRequest,
    DrillRequest,
    ProvisionRequest,
    RehearsalRequest,
    RollbackRequest,
    RolloutRequest,
)
from infra.model.site import Site
from infra.settings import Settings, load_settings
from infra.site_file import load_site, require_named

#: What Prefect's server says of a run whose deployment has no free slot (core_policy.py).
COLLISION = "Deployment concurrency limit reached."
#: Seconds.
SLOT_PAUSE = 5


class FlowCommand(NamedTuple):
    """Where the flow of a command stands."""

    deployment: str
    entrypoint: str
    request: type[BaseModel]


FLOWS = {
    "provision": FlowCommand("provision/provision", "flows.provision.provision", ProvisionRequest),
    "rollout": FlowCommand("rollout/rollout", "flows.rollout.rollout", RolloutRequest),
    "rollback": FlowCommand("rollback/rollback", "flows.rollback.rollback", RollbackRequest),
    "backup": FlowCommand(
        "headscale-backup/hourly", "flows.backup.headscale_backup", BackupRequest
    ),
    "drill": FlowCommand("restore-drill/weekly", "flows.drill.restore_drill", DrillRequest),
    "rehearse": FlowCommand(
        "upgrade-rehearsal/rehearsal", "flows.rehearsal.upgrade_rehearsal", RehearsalRequest
    ),
    "audit": FlowCommand("audit/daily", "flows.audit.audit", AuditRequest),
}


class Ended(NamedTuple):
    """A run that is over: its state (as the API tells it) and what it published, oldest first."""

    run_id: str
    state: Json
    artifacts: list[Json]


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    site = load_site(settings.site)
    flow = FLOWS[arguments.command]
    request = validated(flow.request, _request(site, arguments))
    control_plane.refuse_other_site(settings)
    if request.get("approve") == "ask":
        from deployments.cli.approve import require_somebody_to_ask

        require_somebody_to_ask(arguments)
    if arguments.command == "provision" and not arguments.json and sys.stdin.isatty():
        from deployments.cli.trust import ask_about_host_keys

        ask_about_host_keys(settings, site, request["host"])
    return started(settings, flow, request)


def started(settings: Settings, flow: FlowCommand, request: dict[str, Any]) -> Answer:
    """Run a flow, through the control plane where one runs, and tell how it ended."""
    if control_plane.answers(settings):
        ended = _in_control_plane(settings, flow, request)
    elif control_plane.status(settings).server:
        raise CouldNotRun(
            f"The server of the control plane at {settings.prefect_api_url} runs, but does not answer.",
            f"Its log is in {settings.state}/logs; 'meshkeeper down' and 'up' start it anew.",
        )
    else:
        told = (
            "No control plane runs: the flow runs in this process. Its server takes half a minute."
        )
        print(told, file=sys.stderr)
        from deployments.cli.local_run import run_here

        ended = run_here(settings, flow.entrypoint, request)
    return _answer(ended)


def exit_code(state: Json) -> int:
    """The exit code that a run's final state means."""
    if state["type"] == "COMPLETED":
        return 0
    if state["name"] == "NotApproved":
        return 2
    if state["type"] != "FAILED":
        return 3
    return {"BadInput": 2, "CouldNotRun": 3}.get(state["name"].replace(" ", ""), 1)


def _request(site: Site, arguments: Namespace) -> dict[str, Any]:
    request: dict[str, Any] = {"site": site.name}
    if arguments.command == "provision":
        request["host"] = arguments.host or only_host(site)
    if arguments.command == "rollout":
        request["approve"] = "any" if arguments.yes else "ask"
        request["through_minors"] = arguments.through_minors
        if arguments.stack:
            require_named(site, arguments.stack)
            request["stacks"] = arguments.stack
    if arguments.command == "drill":
        request["snapshot"] = arguments.snapshot
    if arguments.command == "rehearse":
        request["to"] = arguments.to
    return request


def validated(model: type[BaseModel], request: dict[str, Any]) -> dict[str, Any]:
    """Raises BadInput with what may be written instead."""
    try:
        return model.model_validate(request).model_dump(mode="json")
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        option = {"release": "to"}.get(name, name)
        raise BadInput(
            f"--{option} {wrong['input']!r} has not the right form.",
            f"Write: {model.model_fields[name].description}",
        ) from None


def only_host(site: Site) -> str:
    """Raises BadInput where there are several."""
    if len(site.hosts) > 1:
        raise BadInput(
            f"The site has {len(site.hosts)} hosts: {', '.join(site.hosts)}.", "Name one by --host."
        )
    return next(iter(site.hosts))


def _in_control_plane(settings: Settings, flow: FlowCommand, request: dict[str, Any]) -> Ended:
    from deployments.cli.follow import follow

    api = Api(settings.prefect_api_url)
    deployment = api.deployment(flow.deployment)
    online = deployment and any(w["status"] == "ONLINE" for w in api.workers(POOL))
    if not deployment or not online:
        missing = "worker" if deployment else f"deployment {flow.deployment}"
        raise CouldNotRun(
            f"The control plane at {settings.prefect_api_url} has no {missing}.",
            "Run 'meshkeeper up'.",
        )
    while True:
        run = api.start_run(deployment["id"], request)
        state = follow(api, run, asking=request.get("approve") == "ask")
        if not _collided(state):
            return Ended(run["id"], state, api.artifacts(run["id"]))
        _wait_for_other(api, deployment["id"])


def _collided(state: Json) -> bool:
    """Whether the server cancelled a run at once, since another of its deployment is at work."""
    return bool(state["type"] == "CANCELLED" and state["message"] == COLLISION)


def _wait_for_other(api: Api, deployment_id: str) -> None:
    """Show the run that is at work until it is over."""
    from deployments.cli.follow import follow

    at_work = api.in_flight(deployment_id)
    if not at_work:
        time.sleep(SLOT_PAUSE)  # it ended just now, or was killed and its slot is not yet free
        return
    print(f"{at_work[0]['name']} is at work already; ours begins after it.", file=sys.stderr)
    follow(api, at_work[0], asking=False)


def _answer(ended: Ended) -> Answer:
    reports = [a for a in ended.artifacts if a["type"] == "report"]
    texts = [a["data"] for a in ended.artifacts if a["type"] == "markdown"]
    state = ended.state
    message = f"{state['name']}: {state['message']}" if state["message"] else state["name"]
    data = {
        "run": ended.run_id,
        "state": state["name"],
        "message": state["message"],
        "exit_code": exit_code(state),
        # Prefect stores an artifact's data as JSON text.
        "report": json.loads(reports[-1]["data"]) if reports else None,
    }
    return Answer("\n\n".join([*texts[-1:], message]), data, exit_code(state), markdown=bool(texts))
