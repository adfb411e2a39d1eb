"""The environment of server, worker and flow runs: the one place for Prefect's settings."""

import os

from infra.settings import CONTROL_PLANE_MARK, Settings

_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The first generation of the UI asks no host but ours (the second wants an analytics host).
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_TASKS_DEFAULT_NO_CACHE": "true",
    # The worker looks for runs each second: its ten are most of a short run's time.
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    # A worker that died is shown as such after 30 s, not 90 s.
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "10",
    # How far an image is on its way stands in the run's log. Outside of a run nobody is warned.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "infra",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_CLI_PROMPT": "false",
    "PYTHONUNBUFFERED": "1",
}


def control_plane_environment(settings: Settings) -> dict[str, str]:
    """The environment for every process that serves or uses the embedded control plane."""
    own = {
        "PREFECT_HOME": str(settings.prefect_home),
        "TMPDIR": str(settings.prefect_temporary),
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(settings.ui_port),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_origins(settings)),
        "MESHKEEPER_SITE": str(settings.site),
        "MESHKEEPER_STATE_DIR": str(settings.state),
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1,localhost"])),
        CONTROL_PLANE_MARK: str(settings.state),
    }
    return {**_without_prefect(os.environ), **_DEFAULTS, **own}


def local_environment(settings: Settings) -> dict[str, str]:
    """What a flow that runs in this process needs: the same history, no server of ours."""
    own = {
        "PREFECT_HOME": str(settings.prefect_home),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "MESHKEEPER_SITE": str(settings.site),
        "MESHKEEPER_STATE_DIR": str(settings.state),
    }
    return {**_DEFAULTS, **own}


def _origins(settings: Settings) -> list[str]:
    return [f"http://{name}:{settings.ui_port}" for name in ("127.0.0.1", "localhost")]


def _without_prefect(environment: "os._Environ[str]") -> dict[str, str]:
    """A caller's Prefect settings must not turn our worker to another server."""
    return {name: value for name, value in environment.items() if not name.startswith("PREFECT_")}
