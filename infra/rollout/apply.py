"""Brings one stack to its wanted state, or back to the one it had."""

import platform
from collections.abc import Iterator

from infra.access.session import Session
from infra.errors import CouldNotRun, GateFailed, StepFailed
from infra.images.ship import image_size, ship_images
from infra.model.stack import (
    PutBack,
    ReloadStack,
    RenderedStack,
    ShipImage,
    StackPlan,
    StartStack,
)
from infra.planning.room import require_room
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


def have_room(session: Session, stack: RenderedStack, plan: StackPlan) -> None:
    """Raises CouldNotRun where the disk is too small for what is planned, before it is touched."""
    written = sum(len(file.content.encode()) for file in stack.files.values())
    shipped = sum(image_size(c.image) for c in plan.changes if isinstance(c, ShipImage))
    require_room(session.login.name, files.releases(session, stack), written, shipped)


def write(session: Session, stack: RenderedStack, plan: StackPlan) -> None:
    """Make the release, with the data from before it where it may change them; write its files."""
    migrates = any(c.migrates for c in plan.changes if isinstance(c, StartStack))
    files.prepare(session, stack, migrates=migrates)


def start(session: Session, stack: RenderedStack, plan: StackPlan) -> None:
    """Start what differs, or let it take over its files; nothing when neither is planned."""
    if any(isinstance(c, StartStack) for c in plan.changes):
        compose.start(session, stack)
    elif any(isinstance(c, ReloadStack) for c in plan.changes):
        compose.reload_stack(session, stack)


def start_anew(session: Session, stack: RenderedStack) -> None:
    """Start what differs from files that another release has, and let Caddy take over its own."""
    compose.start(session, stack)
    compose.reload_stack(session, stack)


def put_back(session: Session, stack: RenderedStack) -> PutBack:
    """Files, images and data from before; a stack that was new is taken down, its data kept.

    Asks the old state's own gate, too. Raises StepFailed or GateFailed when that is red.
    """
    restored = files.restore(session, stack)
    if not restored.back:
        compose.take_down(session, stack)
        files.drop(session, stack)
        return PutBack()
    start_anew(session, stack)
    checks = gate_locally(session, stack)
    files.drop(session, stack)
    return PutBack(checks=checks, data_of=restored.data_of)


def why(session: Session, container: str, error: GateFailed | StepFailed) -> str:
    """The reason with the container's last log lines, read before anything is put back."""
    lines = compose.last_log_lines(session, container)
    return f"{session.login.name}: {error.message}\nThe last log lines of {container}:\n{lines}"
