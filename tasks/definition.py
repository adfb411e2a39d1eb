"""How every task of meshkeeper is declared: no result cache, and retries only where they help."""

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from infra.errors import MeshkeeperError, Unreachable


class _OneSentence(logging.Filter):
    """An error raised on purpose is a sentence: where in our code it was raised helps nobody."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], MeshkeeperError):
            record.exc_info = None
        return True


for _logger in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_logger).addFilter(_OneSentence())

# Prefect hands our lines to the run (PREFECT_LOGGING_EXTRA_LOGGERS), but asks for no level of them.
logging.getLogger("infra").setLevel(logging.INFO)

P = ParamSpec("P")
R = TypeVar("R")


def step(name: str, task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Declare a side effect with a row of its own in the UI; `task_run_name` is a template."""

    def declare(function: Callable[P, R]) -> Task[P, R]:
        return Task(function, name=name, task_run_name=task_run_name, cache_policy=NO_CACHE)

    return declare


def retried_step(name: str, task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """The same for steps that may be repeated after a lost connection."""

    def declare(function: Callable[P, R]) -> Task[P, R]:
        return step(name, task_run_name)(function).with_options(
            retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=_is_transient
        )

    return declare


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Only a lost connection is worth a second try; and sshd penalises more than a few."""
    return isinstance(state.result(raise_on_failure=False), Unreachable)
