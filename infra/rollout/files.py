"""A stack's files on its host: kept, written, put back, each in one round trip."""

import json
from pathlib import Path
from typing import Any

from infra.access.session import Session
from infra.errors import StepFailed
from infra.model.stack import RenderedStack

PROGRAM = Path(__file__).with_name("host_program.py")


def keep_previous(session: Session, stack: RenderedStack) -> None:
    """Make the stack's folders, and keep what is there until `finish`. Overwrites nothing."""
    _run(session, stack, "keep")


def write_files(session: Session, stack: RenderedStack, paths: tuple[str, ...]) -> None:
    """Replace each file whole; the data beside them is not touched."""
    _run(session, stack, "write", {path: stack.files[path].content for path in paths})


def restore_previous(session: Session, stack: RenderedStack) -> bool:
    """Put files and image names back; False when there was nothing before."""
    return _run(session, stack, "restore") is True


def finish(session: Session, stack: RenderedStack) -> None:
    """The gate has passed: from now on this is the state to come back to."""
    _run(session, stack, "finish")


def _run(
    session: Session, stack: RenderedStack, step: str, files: dict[str, str] | None = None
) -> Any:
    request = {
        "step": step,
        "stack": stack.name,
        "admin": stack.admin,
        "directory": str(stack.directory),
        "folders": {str(folder): mode for folder, mode in stack.folders.items()},
        "paths": sorted(stack.files),
        "images": stack.images,
        "files": files or {},
    }
    program = f"{PROGRAM.read_text()}\n\nmain({request!r})\n"
    output = session.check(
        f"{step} the files of {stack.name}",
        session.as_root("python3 -I -"),
        stdin=program.encode(),
    )
    try:
        return json.loads(output)
    except ValueError as error:
        raise StepFailed(
            f"{session.login.name}: {step} {stack.name}: an unreadable answer."
        ) from error
