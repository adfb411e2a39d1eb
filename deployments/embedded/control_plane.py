"""The embedded control plane of a site: a Prefect server on SQLite, its UI, and one worker."""

import fcntl
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from deployments.embedded import processes, recovery
from deployments.embedded.api import Api
from deployments.embedded.environment import control_plane_environment
from infra.errors import BadInput, CouldNotRun
from infra.model.site import Site
from infra.settings import CONTROL_PLANE_MARK, Settings

POOL = "meshkeeper"
ROLES = ("server", "worker")
#: Seconds. The first start on a slow machine writes the database: about 15 s on two cores.
START_TIMEOUT = 180
#: Seconds that a server which runs may take to say that it is healthy.
BUSY_LIMIT = 30


class Status(NamedTuple):
    """What of a control plane runs."""

    server: int | None
    worker: int | None
    healthy: bool
    url: str
    of_other_site: str = ""

    @property
    def running(self) -> bool:
        return bool(self.healthy and self.server and self.worker and not self.of_other_site)


def status(settings: Settings) -> Status:
    """Which processes of the control plane live, and whether the server answers."""
    server, worker = (processes.read_record(_pid_file(settings, role)) for role in ROLES)
    return Status(
        server=server.pid if server else None,
        worker=worker.pid if worker else None,
        healthy=bool(server) and Api(settings.prefect_api_url).healthy(),
        url=settings.prefect_api_url.removesuffix("/api"),
        of_other_site=_other_site(settings),
    )


def _other_site(settings: Settings) -> str:
    """The site file that this state directory's control plane runs for, if it is not ours."""
    sites = {record.site for role in ROLES if (record := _record(settings, role))}
    return next(iter(sites - {str(settings.site)}), "")


def refuse_other_site(settings: Settings) -> None:
    """Raises BadInput where the control plane runs for another site file: it would act by that one."""
    if other := _other_site(settings):
        raise BadInput(
            f"The control plane of {other} runs in {settings.state}, not one of {settings.site}.",
            "Stop it by `meshkeeper down`, or give this site a MESHKEEPER_STATE_DIR and a "
            "MESHKEEPER_UI_PORT of its own in meshkeeper.env beside its file.",
        )


def answers(settings: Settings) -> bool:
    """Whether the server answers; one that runs gets some time, since it may be busy."""
    api = Api(settings.prefect_api_url)
    deadline = time.monotonic() + BUSY_LIMIT
    while not api.healthy():
        if not _record(settings, "server") or time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def up(settings: Settings, site: Site) -> Status:
    """Start what does not run, register the site's deployments, and wait until all is healthy.

    Raises BadInput when another site's runs there; CouldNotRun when the port is taken, or a part
    does not come up.
    """
    with _alone(settings):
        refuse_other_site(settings)
        api = Api(settings.prefect_api_url)
        if not (_record(settings, "server") and answers(settings)):
            _stop_all(settings)
            _start_server(settings, api)
        due: set[str] = set()
        if not _record(settings, "worker"):
            _stop_runs(settings)
            recovery.end_dead_runs(api)
            due = recovery.due_deployments(api)
        _register(settings)
        for deployment_id in due:
            recovery.make_up_for(api, deployment_id, site.name)
        if not _record(settings, "worker"):
            _start_worker(settings, api)
    return status(settings)


def down(settings: Settings) -> list[str]:
    """Stop worker, runs and server of this control plane and nothing else; what was stopped."""
    with _alone(settings):
        return _stop_all(settings)


def _start_server(settings: Settings, api: Api) -> None:
    _refuse_taken_port(settings)
    for folder in (settings.prefect_home, settings.prefect_temporary):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _start(settings, "server", ["server", "start"])
    _wait(settings, "server", api.healthy)


def _start_worker(settings: Settings, api: Api) -> None:
    known = {worker["id"] for worker in api.workers(POOL)}
    name = f"meshkeeper-{int(time.time())}"
    _start(
        settings,
        "worker",
        ["worker", "start", "--pool", POOL, "--type", "process", "--limit", "5", "--name", name],
    )
    _wait(settings, "worker", lambda: any(w["id"] not in known for w in api.workers(POOL)))


def _start(settings: Settings, role: str, arguments: list[str]) -> None:
    pid = processes.start_detached(
        [sys.executable, "-m", "prefect", *arguments],
        control_plane_environment(settings),
        _log(settings, role),
    )
    processes.write_record(_pid_file(settings, role), pid, str(settings.site))


def _register(settings: Settings) -> None:
    """In a process of its own: it imports Prefect with the control plane's environment."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "deployments.embedded.registration", str(settings.site)],
        env=control_plane_environment(settings),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise CouldNotRun(f"The deployments could not be registered: {_last_line(done.stderr)}")


def _wait(settings: Settings, role: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        if not _record(settings, role) or time.monotonic() > deadline:
            log = _log(settings, role)
            raise CouldNotRun(
                f"The {role} of the control plane did not start: "
                f"{_last_line(log.read_text(errors='replace'))}",
                f"Its log is {log}.",
            )
        time.sleep(0.3)


def _stop_all(settings: Settings) -> list[str]:
    """Worker, then its runs while the server still takes their last words, then the server."""
    api = Api(settings.prefect_api_url)
    stopped = []
    worker, server = _record(settings, "worker"), _record(settings, "server")
    if server and api.healthy():
        recovery.end_waiting_runs(api)
    if worker:
        processes.stop([worker.pid])
        stopped.append("worker")
    if _stop_runs(settings):
        stopped.append("runs")
    if server:
        if api.healthy():
            recovery.end_dead_runs(api)
        processes.stop([server.pid])
        stopped.append("server")
    processes.stop(processes.carrying(CONTROL_PLANE_MARK, str(settings.state)))
    for role in ROLES:
        _pid_file(settings, role).unlink(missing_ok=True)
    shutil.rmtree(settings.prefect_temporary, ignore_errors=True)
    return stopped


def _stop_runs(settings: Settings) -> bool:
    """End the processes of runs, orphans of a killed worker included; the server stays."""
    server = _record(settings, "server")
    server_tree = processes.descendants(server.pid) if server else set()
    runs = set(processes.carrying(CONTROL_PLANE_MARK, str(settings.state))) - server_tree
    processes.stop(runs)
    return bool(runs)


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.ui_port))
        except OSError as error:
            raise CouldNotRun(
                f"Port {settings.ui_port} on 127.0.0.1 is taken by another program.",
                "Stop it, or write MESHKEEPER_UI_PORT=… into meshkeeper.env beside the site file.",
            ) from error


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One `up` or `down` at a time."""
    settings.make_state()
    with (settings.state / "control-plane.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CouldNotRun(
                "Another 'meshkeeper up' or 'down' is at work.", "Wait until it is done."
            ) from error
        yield


def _record(settings: Settings, role: str) -> processes.Record | None:
    return processes.read_record(_pid_file(settings, role))


def _pid_file(settings: Settings, role: str) -> Path:
    return settings.state / f"{role}.pid"


def _log(settings: Settings, role: str) -> Path:
    return settings.state / "logs" / f"{role}.log"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
