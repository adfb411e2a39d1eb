"""A run's steps as a table that is drawn anew while they go on."""

from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deployments.cli.follow import MARKS
from deployments.embedded.api import FINAL, Json
from infra.text import printable

_STYLES = {"COMPLETED": "green", "FAILED": "red", "CRASHED": "red", "CANCELLED": "yellow"}


class LiveTable:
    """A view of a run for a terminal."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), refresh_per_second=8)
        self._spinner = Spinner("dots")

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def update(self, run: Json, steps: list[Json]) -> None:
        title = Text(printable(f"{run['name']} · {run['state_name']}"))
        table = Table(title=title, title_justify="left", box=None, show_header=False)
        for step in steps:
            seconds = step["estimated_run_time"] or 0.0
            table.add_row(self._mark(step), Text(printable(step["name"])), f"{seconds:.1f} s")
        if run["state_type"] not in FINAL and not steps:
            table.add_row(self._spinner, "waiting for the worker", "")
        self._live.update(table)

    def _mark(self, step: Json) -> RenderableType:
        kind = step["state_type"]
        if kind == "RUNNING":
            return self._spinner
        return Text(MARKS.get(kind, " "), style=_STYLES.get(kind, ""))
