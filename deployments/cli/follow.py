"""Showing a run's steps while it goes on: a live table for people, lines for logs."""

import sys
import time
from typing import Protocol

from deployments.embedded.api import FINAL, Api, Json
from infra.text import printable

#: Seconds between two looks at a run.
INTERVAL = 0.5
MARKS = {"COMPLETED": "✓", "FAILED": "✗", "CRASHED": "✗", "CANCELLED": "-", "RUNNING": "…"}


class View(Protocol):
    def update(self, run: Json, steps: list[Json]) -> None: ...


def follow(api: Api, run: Json) -> Json:
    """Show a run on standard error until it is over; its final state."""
    if sys.stderr.isatty():
        from deployments.cli.live import LiveTable

        with LiveTable() as table:
            return _watch(api, run["id"], table)
    return _watch(api, run["id"], Lines())


def _watch(api: Api, run_id: str, view: View) -> Json:
    while True:
        run = api.run(run_id)
        view.update(run, api.task_runs(run_id))
        if run["state_type"] in FINAL:
            state: Json = run["state"]
            return state
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
