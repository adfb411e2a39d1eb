"""A run that would change something waits for a person's yes, with its plan in front of them.

It waits in Prefect's state Paused, which shows a form in the UI, in its own process and with no lock.
Prefect's own pause_flow_run is not used: it goes on waiting for a run that was cancelled meanwhile,
and a pause that runs out ends as a failure by Prefect's word, not ours.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.input import create_flow_run_input, keyset_from_paused_state, read_flow_run_input
from prefect.logging import get_run_logger
from prefect.states import Paused
from pydantic import ValidationError

from infra.errors import NotApproved
from infra.model.approval import SHORT, Answer, Approval
from infra.model.request import RollbackRequest, RolloutRequest
from infra.planning.approval import Approvable, question
from infra.text import duration, printable

#: How long a plan waits for its yes.
LONGEST = timedelta(hours=24)
#: Seconds between two looks whether somebody answered.
POLL = 1.0
NOTHING = "Nothing was touched."

#: Asks a person who sits before this process: gets the question and the plan's name.
Asker = Callable[[str, str], Answer]
_asker: ContextVar[Asker | None] = ContextVar("asker", default=None)


@contextmanager
def asking(asker: Asker) -> Iterator[None]:
    """Within it runs of this process ask by `asker`, not by the UI: no control plane runs."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)


def asks(
    request: RolloutRequest | RollbackRequest, plan: Approvable, approval: Approval | None
) -> bool:
    """Whether this plan needs a yes that it has not got. A schedule's run asks nobody."""
    if request.approve == "any" or plan.empty or _this_run().auto_scheduled:
        return False
    return approval is None or approval.plan != plan.digest


def ask(plan: Approvable, *, again: bool) -> Approval:
    """Wait for a yes to this very plan; `again`: another one was approved before.

    Raises NotApproved after a no, after LONGEST, and when the run was ended from elsewhere.
    """
    text, number = question(plan, again=again), plan.digest[:SHORT]
    log = get_run_logger()
    log.info("%s", text)
    asker = _asker.get()
    answer = asker(text, number) if asker else _answer_to_form(text, number)
    name = printable(answer.name)
    if answer.answer != "yes":
        raise NotApproved(f"{name} said no to plan {number}. {NOTHING}")
    log.info("%s approved plan %s", name, number)
    return Approval(by=name, at=datetime.now(UTC), plan=plan.digest)


def _answer_to_form(text: str, plan: str) -> Answer:
    """Pause with a form, and wait until it is filled in."""
    run_id = _this_run().id
    pause: State[Any] = Paused(pause_key=uuid4().hex)
    keys = keyset_from_paused_state(pause)
    pause.state_details.run_input_keyset = {str(part): key for part, key in keys.items()}
    # Before the pause: whoever sees it finds the form.
    create_flow_run_input(keys["description"], text)
    create_flow_run_input(keys["schema"], form(plan))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, pause)
        _wait_until_set_going(client, run_id)
    try:
        return Answer.model_validate(read_flow_run_input(keys["response"]) or {})
    except ValidationError as error:  # by a change of its state in the UI
        raise NotApproved(f"The run was set going without an answer. {NOTHING}") from error


def form(plan: str) -> dict[str, Any]:
    """The form's schema. What a page that was left open says to another plan does not fit it."""
    schema = Answer.model_json_schema()
    schema["properties"]["plan"] |= {"const": plan, "default": plan}
    return schema


def _wait_until_set_going(client: SyncPrefectClient, run_id: UUID) -> None:
    """Raises NotApproved when the run ends instead, or nobody answers in time."""
    deadline = datetime.now(UTC) + LONGEST
    while datetime.now(UTC) < deadline:
        state = client.read_flow_run(run_id).state
        if state and state.is_running():
            return
        if state and state.is_final():
            raise NotApproved(f"The run was ended while it waited for a yes. {NOTHING}")
        time.sleep(POLL)
    raise NotApproved(f"Nobody said yes within {duration(LONGEST.total_seconds())}. {NOTHING}")


def _this_run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("A plan is approved within a flow's run.")
    return context.flow_run
