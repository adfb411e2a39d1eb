"""Showing a run's steps while it goes on: a live table for people, lines for logs."""

import sys
import time
from collections.abc import Collection
from typing import Protocol

from deployments.cli.approve import answer_run
from deployments.embedded.api import FINAL, Api, Json
from infra.text import printable

#: Seconds between two looks at a run.
INTERVAL = 0.5
MARKS = {"COMPLETED": "✓", "FAILED": "✗", "CRASHED": "✗", "CANCELLED": "-", "RUNNING": "…"}


class View(Protocol):
    def update(self, run: Json, steps: list[Json]) -> None: ...


def follow(api: Api, run: Json, *, asking: bool) -> Json:
    """Show a run on standard error until it is over; its final state.

    `asking`: where it waits for a yes, the person at this terminal is asked.
    """
    stop_at = (*FINAL, "PAUSED") if asking else FINAL
    while (run := _shown(api, run["id"], stop_at))["state_type"] not in FINAL:
        answer_run(api, run)
    state: Json = run["state"]
    return state


def _shown(api: Api, run_id: str, stop_at: Collection[str]) -> Json:
    """The run in the first of these states."""
    if sys.stderr.isatty():
        from deployments.cli.live import LiveTable

        with LiveTable() as table:
            return _watch(api, run_id, stop_at, table)
    return _watch(api, run_id, stop_at, Lines())


def _watch(api: Api, run_id: str, stop_at: Collection[str], view: View) -> Json:
    while True:
        run = api.run(run_id)
        view.update(run, api.task_runs(run_id))
        if run["state_type"] in stop_at:
            return run
        time.sleep(INTERVAL)


class Lines:
    """One line per state of the run and per ended step."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, str]] = set()

    def update(self, run: Json, steps: list[Json]) -> None:
        # A step that ended between two requests is shown before its run's end.
        for step in steps:
            if step["state_type"] in FINAL:
                self._show(step["id"], step["state_type"], step_line(step))
        self._show(run["id"], run["state_name"], f"{run['name']}: {run['state_name']}")

    def _show(self, item: str, state: str, line: str) -> None:
        if (item, state) not in self._shown:
            self._shown.add((item, state))
            print(line, file=sys.stderr, flush=True)


def step_line(step: Json) -> str:
    """A step as one line: mark, name, duration in seconds."""
    mark = MARKS.get(step["state_type"], " ")
    seconds = step["estimated_run_time"] or 0.0
    return f"  {mark} {printable(step['name'])}  {seconds:.1f} s"
