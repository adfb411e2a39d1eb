"""Brings one stack to its wanted state, or back to the one it had."""

import platform
from collections.abc import Iterator

from infra.access.session import Session
from infra.errors import CouldNotRun, GateFailed, StepFailed
from infra.images.ship import ship_images
from infra.model.stack import (
    Check,
    ReloadStack,
    RenderedStack,
    ShipImage,
    StackPlan,
    StartStack,
    WriteFile,
)
from infra.rollout import compose, files
from infra.rollout.local_gate import gate_locally

#: For one image: some 120 MB over a slow home's uplink.
UPLOAD_SECONDS = 3600


def send_images(session: Session, plan: StackPlan) -> None:
    """Stream the images that the host lacks into its engine.

    Raises CouldNotRun for a host with another kind of processor than ours.
    """
    theirs = session.check("ask for its processor", "uname -m").decode(errors="replace").strip()
    if theirs != platform.machine():
        raise CouldNotRun(
            f"{session.login.name} has another processor ({theirs[:20]}) than this machine "
            f"({platform.machine()}), for which the images are.",
            "Run meshkeeper on a machine of the host's kind.",
        )

    def load(chunks: Iterator[bytes]) -> None:
        command = session.as_root("docker load --quiet")
        session.send("docker load", command, chunks, timeout=UPLOAD_SECONDS)

    ship_images([c.image for c in plan.changes if isinstance(c, ShipImage)], load)


def write(session: Session, stack: RenderedStack, plan: StackPlan) -> None:
    """Keep what is there, then replace the files that differ."""
    files.keep_previous(session, stack)
    paths = tuple(c.path for c in plan.changes if isinstance(c, WriteFile))
    if paths:
        files.write_files(session, stack, paths)


def start(session: Session, stack: RenderedStack, plan: StackPlan) -> None:
    """Start what differs, or let it take over its files; nothing when neither is planned."""
    if any(isinstance(c, StartStack) for c in plan.changes):
        compose.start(session, stack)
    elif any(isinstance(c, ReloadStack) for c in plan.changes):
        compose.reload_stack(session, stack)


def put_back(session: Session, stack: RenderedStack) -> tuple[Check, ...]:
    """The files and images from before; a stack that was new is taken down, its data kept.

    Returns the old state's own gate. Raises StepFailed or GateFailed when that is red, too.
    """
    if not files.restore_previous(session, stack):
        compose.take_down(session, stack)
        files.finish(session, stack)
        return ()
    compose.start(session, stack)
    compose.reload_stack(session, stack)
    checks = gate_locally(session, stack)
    files.finish(session, stack)
    return checks


def why(session: Session, container: str, error: GateFailed | StepFailed) -> str:
    """The reason with the container's last log lines, read before anything is put back."""
    lines = compose.last_log_lines(session, container)
    return f"{session.login.name}: {error.message}\nThe last log lines of {container}:\n{lines}"
