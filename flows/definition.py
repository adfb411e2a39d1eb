"""How every flow of meshkeeper is declared: its run's name, and how it ends.

An error that meshkeeper raised on purpose becomes a state with one readable sentence, named
after what it means: `BadInput`, `CouldNotRun`, `Failed`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from prefect import Flow, flow
from prefect.states import State
from prefect.states import Failed as FailedState

from infra.errors import BadInput, CouldNotRun, MeshkeeperError

Request = TypeVar("Request")


def site_flow(
    name: str, run_name: str
) -> Callable[[Callable[[Request], Any]], Flow[[Request], Any]]:
    """Declare a flow that takes one request; `run_name` is a template over `request`."""

    def declare(function: Callable[[Request], Any]) -> Flow[[Request], Any]:
        @wraps(function)
        def run(request: Request) -> Any:
            try:
                return function(request)
            except MeshkeeperError as error:
                return ended_by(error)

        return flow(run, name=name, flow_run_name=run_name, log_prints=False)

    return declare


def ended_by(error: MeshkeeperError) -> State[Any]:
    """The final state that tells `error` to a reader of the UI."""
    name = "Failed"
    if isinstance(error, BadInput):
        name = "BadInput"
    elif isinstance(error, CouldNotRun):
        name = "CouldNotRun"
    return FailedState(name=name, message=str(error))
