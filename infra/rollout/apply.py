"""Brings one stack to its wanted state, or back to the one it had."""

import logging
import time
from collections.abc import Iterable, Mapping

from infra.access.session import Session
from infra.errors import CouldNotRun, GateFailed, StepFailed
from infra.images.parcel import parcel
from infra.images.platforms import Architecture, architecture_of
from infra.images.ship import chunks, progress
from infra.model.stack import (
    PutBack,
    ReloadStack,
    RenderedSecret,
    RenderedStack,
    ShipImage,
    StackPlan,
    StartStack,
)
from infra.planning.room import require_room
from infra.rollout import compose, files
from infra.rollout.engine_store import engine_store, require_image
from infra.rollout.local_gate import gate_locally
from infra.rollout.reload import reload_stack
from infra.rollout.secret_files import masked

#: For one image: some 120 MB over a slow home's uplink.
UPLOAD_SECONDS = 3600
log = logging.getLogger(__name__)


def send_images(session: Session, plan: StackPlan) -> None:
    """Give the host's engine the images that it lacks, and of them the layers that it lacks.

    Raises ImageUnavailable, StepFailed when the engine then has another image than the planned one.
    """
    architecture = processor_of(session)
    for change in plan.changes:
        if isinstance(change, ShipImage):
            send_image(session, change, architecture)


def processor_of(session: Session) -> Architecture:
    """The host's. Raises ImageUnavailable for one that no images are made for."""
    theirs = session.check("ask for its processor", "uname -m").decode(errors="replace").strip()
    return architecture_of(theirs, session.login.name)


def send_image(session: Session, change: ShipImage, architecture: Architecture) -> None:
    """One image, whole or not at all: the engine checks each layer, and we what it has then."""
    store = engine_store(session)
    with parcel(change.image, architecture, store.images) as sent:
        if sent.image_id != change.image_id:
            raise CouldNotRun(
                f"{change.image} was made anew on this machine since the plan was made.",
                "Plan again.",
            )
        began = time.monotonic()
        command = session.as_root("docker load --quiet")
        session.send("docker load", command, chunks(sent), timeout=UPLOAD_SECONDS)
        log.info(progress(sent, sent.size, time.monotonic() - began))
    if store.names_by_configuration:
        require_image(session, change)


def have_room(
    session: Session, stack: RenderedStack, plan: StackPlan, sizes: Mapping[str, int]
) -> None:
    """Raises CouldNotRun where the disk is too small for what is planned, before it is touched.

    `sizes`: of images by name, unpacked, in bytes.
    """
    written = sum(len(file.content.encode()) for file in stack.written.values())
    shipped = sum(sizes[c.image] for c in plan.changes if isinstance(c, ShipImage))
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
        reload_stack(session, stack)


def start_anew(session: Session, stack: RenderedStack) -> None:
    """Start what differs from files that another release has, and let Caddy take over its own."""
    compose.start(session, stack)
    reload_stack(session, stack)


def put_back(session: Session, stack: RenderedStack) -> PutBack:
    """Files, images and data from before; a stack that was new is taken down, its data kept.

    Asks the old state's own gate, too. Raises StepFailed or GateFailed when that is red.
    """
    restored = files.restore(session, stack)
    if not restored.back:
        compose.take_down(session, stack)
        files.drop(session, stack)
        return PutBack(diff=restored.diff)
    start_anew(session, stack)
    checks = gate_locally(session, stack)
    files.drop(session, stack)
    return PutBack(checks=checks, data_of=restored.data_of, diff=restored.diff)


def why(
    session: Session,
    container: str,
    error: GateFailed | StepFailed,
    secrets: Iterable[RenderedSecret] = (),
) -> str:
    """The reason with the container's last log lines, read before anything is put back.

    `secrets` are what it may have written there.
    """
    lines = compose.last_log_lines(session, container)
    told = f"{session.login.name}: {error.message}\nThe last log lines of {container}:\n{lines}"
    return masked(told, secrets)
