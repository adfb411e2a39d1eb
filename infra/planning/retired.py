"""Stacks that run on a host, and that the site file no longer names there. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator

from infra.model.stack import StackPlan, TakeDown

#: A stack's name. The host tells it, and it becomes a word of a command there.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def plan_retired(host: str, named: Collection[str], running: Iterable[str]) -> Iterator[StackPlan]:
    """A plan for each that is to go. `running`: projects whose containers carry meshkeeper's mark."""
    for project in running:
        if project not in named and NAME.fullmatch(project):
            change = TakeDown(
                item=f"{project}.containers",
                summary=f"take down {project}: the site file no longer names it on {host}; its "
                "folder and its data stay",
                interrupts=f"{project} serves no more.",
                project=project,
            )
            yield StackPlan(target=f"{host}.{project}", changes=(change,))
