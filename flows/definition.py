"""How every flow of meshkeeper is declared: its run's name, when it is due, and how it ends.

An error that meshkeeper raised on purpose becomes a state with one readable sentence, named
after what it means: `BadInput`, `NotApproved`, `CouldNotRun`, `Failed`.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed
from prefect.states import Failed as FailedState

from flows.due import NOT_DUE, made_superfluous_by
from infra.errors import BadInput, CouldNotRun, MeshkeeperError, NotApproved

Request = TypeVar("Request")
log = logging.getLogger(__name__)


def site_flow(
    name: str, run_name: str
) -> Callable[[Callable[[Request], Any]], Flow[[Request], Any]]:
    """Declare a flow that takes one request; `run_name` is a template over `request`."""

    def declare(function: Callable[[Request], Any]) -> Flow[[Request], Any]:
        @wraps(function)
        def run(request: Request) -> Any:
            if success := made_superfluous_by():
                message = f"The run {success!r} succeeded since this one was scheduled."
                return Completed(name=NOT_DUE, message=message)
            try:
                return function(request)
            except MeshkeeperError as error:
                return ended_by(error)
            except Exception as error:
                log.error("The flow broke", exc_info=error)
                return ended_by(
                    CouldNotRun(
                        f"The flow itself broke ({type(error).__name__}); its log tells where.",
                        "Try again; if it stays, it is a bug.",
                    )
                )

        return Flow(run, name=name, flow_run_name=run_name, log_prints=False)

    return declare


def ended_by(error: MeshkeeperError) -> State[Any]:
    """The final state that tells `error` to a reader of the UI."""
    if isinstance(error, NotApproved):
        return Cancelled(name="NotApproved", message=str(error))
    name = "Failed"
    if isinstance(error, BadInput):
        name = "BadInput"
    elif isinstance(error, CouldNotRun):
        name = "CouldNotRun"
    return FailedState(name=name, message=str(error))
