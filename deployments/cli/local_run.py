"""Running a flow in this process, where no control plane runs."""

import importlib
import os
from typing import Any

from deployments.cli.flow import Ended
from deployments.embedded.environment import local_environment
from infra.settings import Settings


def run_here(settings: Settings, entrypoint: str, request: dict[str, Any]) -> Ended:
    """Run a flow against a temporary Prefect server; its history is the control plane's.

    The environment is set before Prefect is imported, since it reads it then.
    """
    # Prefect's own server tries for ever where the folder of its database is missing.
    settings.prefect_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ.update(local_environment(settings))
    os.environ.pop("PREFECT_API_URL", None)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    from deployments.cli.approve import ask
    from flows.approval import asking

    module, _, name = entrypoint.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    with asking(ask):
        state = flow(request=request, return_state=True)
    run_id = state.state_details.flow_run_id
    only_this_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(artifact_filter=only_this_run)
    return Ended(
        str(run_id),
        {"type": state.type.value, "name": state.name, "message": state.message},
        [artifact.model_dump(mode="json") for artifact in sorted(artifacts, key=_created)],
    )


def _created(artifact: Any) -> Any:
    return artifact.created
