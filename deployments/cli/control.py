"""`up`, `down`, `status`: the embedded control plane."""

from argparse import Namespace

from deployments.cli.answer import Answer
from deployments.cli.flow import FLOWS, exit_code
from deployments.embedded import control_plane
from deployments.embedded.api import Api, Json
from infra.settings import Settings, load_settings
from infra.site_file import load_site


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    if arguments.command == "down":
        return _down(settings)
    if arguments.command == "up":
        return _up(settings, install=arguments.install)
    return _status(settings)


def _up(settings: Settings, *, install: bool) -> Answer:
    status = control_plane.up(settings, load_site(settings.site))
    text = f"The control plane runs: {status.url}"
    if install:
        from deployments.embedded.unit import install_unit

        text += f"\nIt starts at boot: {install_unit(settings)}"
    return Answer(text, status._asdict())


def _down(settings: Settings) -> Answer:
    stopped = control_plane.down(settings)
    text = f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running."
    return Answer(text, {"stopped": stopped})


def _status(settings: Settings) -> Answer:
    status = control_plane.status(settings)
    lines = [
        f"server   {_process(status.server)}{'' if status.healthy else ', does not answer'}",
        f"worker   {_process(status.worker)}",
    ]
    last: list[Json] = []
    waiting: list[Json] = []
    if status.healthy:
        lines.append(f"UI       {status.url}")
        api = Api(settings.prefect_api_url)
        waiting = [_waiting_row(status.url, run) for run in api.waiting()]
        lines += [f"waits for a yes: {run['run']}, at {run['url']}" for run in waiting]
        last = _last_runs(api)
        lines += [f"{run['ended'][:16]}Z  {run['state']:<12} {run['run']}" for run in last]
    if status.of_other_site:
        lines.append(f"It runs for another site: {status.of_other_site}")
    elif not status.running:
        lines.append("Start it with 'meshkeeper up'.")
    data = {**status._asdict(), "running": status.running, "waiting": waiting, "last_runs": last}
    return Answer("\n".join(lines), data, 0 if status.running else 3)


def _process(pid: int | None) -> str:
    return f"runs (pid {pid})" if pid else "does not run"


def _waiting_row(url: str, run: Json) -> Json:
    """A run that waits for a person, and where to answer it."""
    return {"run": run["name"], "url": f"{url}/runs/flow-run/{run['id']}"}


def _last_runs(api: Api) -> list[Json]:
    """The last ended run of each flow."""
    deployments = [api.deployment(flow.deployment) for flow in FLOWS.values()]
    return [
        _row(deployment, run)
        for deployment in deployments
        if deployment
        for run in api.last_ended(deployment["id"])
    ]


def _row(deployment: Json, run: Json) -> Json:
    """A run with the exit code that its command would have had."""
    return {
        "deployment": deployment["name"],
        "run": run["name"],
        "state": run["state"]["name"],
        "message": run["state"]["message"],
        "ended": run["end_time"],
        "exit_code": exit_code(run["state"]),
    }
