"""Docker's command lines for a stack (pure), and running them on its host."""

import shlex

from infra.access.session import Session
from infra.model.stack import RenderedStack
from infra.rollout.render import COMPOSE
from infra.text import printable

LOG_LINES, LOG_BYTES = 15, 4096
START_SECONDS = 180


def up(stack: RenderedStack) -> str:
    """Makes anew what differs from the compose file, and no other beside it; fetches nothing."""
    file = ("--file", str(stack.directory / COMPOSE))
    return _compose(
        stack, *file, "up", "--detach", "--no-build", "--pull", "never", "--remove-orphans"
    )


def down(stack: RenderedStack) -> str:
    """Removes the containers, not the data."""
    return _compose(stack, "down")


def down_project(project: str) -> str:
    """The same for a stack of which nothing but the name is known: the engine's labels say the rest."""
    return shlex.join(("docker", "compose", "--project-name", project, "down"))


def logs(container: str) -> str:
    return f"docker logs --tail {LOG_LINES} {shlex.quote(container)}"


def start(session: Session, stack: RenderedStack) -> None:
    session.check(f"start {stack.name}", session.as_root(up(stack)), timeout=START_SECONDS)


def take_down(session: Session, stack: RenderedStack) -> None:
    session.check(f"stop {stack.name}", session.as_root(down(stack)), timeout=START_SECONDS)


def take_down_project(session: Session, project: str) -> None:
    command = session.as_root(down_project(project))
    session.check(f"take down {project}", command, timeout=START_SECONDS)


def last_log_lines(session: Session, container: str) -> str:
    """The last lines of a container's log, bounded and without control characters."""
    output = session.run(session.as_root(logs(container)), limit=LOG_BYTES)
    text = (output.stdout + output.stderr)[-LOG_BYTES:].decode(errors="replace")
    lines = text.strip().splitlines()[-LOG_LINES:]
    return printable("\n".join(lines))


def _compose(stack: RenderedStack, *words: str) -> str:
    folder = str(stack.directory)
    name = ("--project-name", stack.name)  # without it, nothing can be taken down without its file
    return shlex.join(("docker", "compose", *name, "--project-directory", folder, *words))
