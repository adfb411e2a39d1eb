"""How every task of meshkeeper is declared: no result cache, and retries only where they help."""

from functools import partial

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from infra.errors import Unreachable


def _is_transient(_task: Task, _run: TaskRun, state: State) -> bool:  # type: ignore[type-arg]
    """Only a lost connection is worth a second try; and sshd penalises more than a few."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, Unreachable)


#: A side effect with a row of its own in the UI, e.g. @step(name=…, task_run_name=…).
step = partial(task, cache_policy=NO_CACHE)

#: The same for steps that may be repeated after a lost connection.
retried_step = partial(
    task,
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=_is_transient,
)
