"""What has to change on a host so that a stack is as it is wanted. Pure.

image missing or another → ship,  file differs → write,  container differs → start,
only what a container takes over while it runs → reload
"""

from collections.abc import Iterator, Mapping

from infra.model.observation import ContainerState, StackState
from infra.model.stack import (
    PENDING,
    ReloadStack,
    RenderedStack,
    ShipImage,
    StackChange,
    StackPlan,
    StartStack,
    WriteFile,
)

MODE = 0o644
MISSING = "is missing"
#: Characters of an image id that people are shown: `sha256:` and twelve more.
_SHORT = 19


def plan_stack(
    wanted: RenderedStack,
    image_ids: Mapping[str, str],
    state: StackState,
    host_images: Mapping[str, str],
) -> StackPlan:
    """The ordered changes; empty when the stack is in order and its last rollout had passed.

    `image_ids` and `host_images` map image names to ids: on the control machine, on the host.
    """
    ships = tuple(_ships(wanted, image_ids, host_images))
    writes = tuple(_writes(wanted, state))
    differing = _differing(wanted, image_ids, state)
    changes: tuple[StackChange, ...] = (*ships, *writes)
    if differing:
        changes += (_start(wanted, differing, migrates=_migrates(wanted, image_ids, state)),)
    elif _must_reload(wanted, state, writes):
        changes += (_reload(wanted),)
    elif PENDING in state.files:
        changes += (_start(wanted, {}, migrates=False),)
    return StackPlan(target=f"{wanted.host}.{wanted.name}", changes=changes)


def _ships(
    wanted: RenderedStack, image_ids: Mapping[str, str], host_images: Mapping[str, str]
) -> Iterator[ShipImage]:
    for image in wanted.images:
        if host_images.get(image) != image_ids[image]:
            why = "another build is there" if image in host_images else "the host lacks it"
            yield ShipImage(
                item=f"{wanted.name}.image",
                summary=f"send {image}: {why}",
                image=image,
                image_id=image_ids[image],
            )


def with_pins(plan: StackPlan, ids: Mapping[str, str], pinned: Mapping[str, str]) -> StackPlan:
    """The plan with a note for each of its stack's images whose name meant another one until now.

    `ids` and `pinned`: by name, of today and of the last rollout. A tag can be moved, by its makers or
    by somebody else: that is for the approver to see.
    """
    notes = tuple(
        f"{name} is another image than when it was last rolled out: {pinned[name][:_SHORT]} then, "
        f"{ids[name][:_SHORT]} now"
        for name in ids
        if ids[name] != pinned[name]
    )
    return plan.model_copy(update={"notes": (*plan.notes, *notes)})


def _writes(wanted: RenderedStack, state: StackState) -> Iterator[WriteFile]:
    for path, file in wanted.written.items():
        there = state.files.get(path)
        if there and (there.sha256, there.mode) == (file.sha256, MODE):
            continue
        yield WriteFile(
            item=f"{wanted.name}.file",
            summary=f"write {path}: it {'differs' if there else 'is missing'}",
            path=path,
            sha256=file.mark,
        )


def _differing(
    wanted: RenderedStack, image_ids: Mapping[str, str], state: StackState
) -> dict[str, str]:
    """Containers that have to be made anew or started: name → why."""
    images = wanted.container_images
    why = {
        name: _reason(state.containers.get(name), mark, image_ids[images[name]])
        for name, mark in wanted.containers.items()
    }
    return {name: reason for name, reason in why.items() if reason}


def _reason(container: ContainerState | None, mark: str, image_id: str) -> str:
    if container is None:
        return MISSING
    if container.mark != mark:
        return "runs with another configuration"
    if container.image_id != image_id:
        return "runs another image"
    return "" if container.running else "does not run"


def _migrates(wanted: RenderedStack, image_ids: Mapping[str, str], state: StackState) -> bool:
    """Whether the data get a server of another image, also where its configuration differs too."""
    if wanted.server is None or wanted.server not in state.containers:
        return False
    there = state.containers[wanted.server].image_id
    return there != image_ids[wanted.container_images[wanted.server]]


def _start(wanted: RenderedStack, differing: Mapping[str, str], *, migrates: bool) -> StartStack:
    reasons = "; ".join(f"{name} {reason}" for name, reason in differing.items())
    return StartStack(
        item=f"{wanted.name}.containers",
        summary=f"start {wanted.name}: {reasons or 'its last rollout was cut off before its gate'}",
        detail="A snapshot of the data is taken first." if migrates else "",
        interrupts=" ".join(
            wanted.interrupts[name]
            for name, reason in differing.items()
            if reason != MISSING and name in wanted.interrupts
        ),
        containers=tuple(differing),
        migrates=migrates,
    )


def _must_reload(wanted: RenderedStack, state: StackState, writes: tuple[WriteFile, ...]) -> bool:
    """Also after a rollout that was cut off: nobody knows whether it still reloaded."""
    if wanted.reload is None:
        return False
    return PENDING in state.files or any(write.path in wanted.reload.files for write in writes)


def _reload(wanted: RenderedStack) -> ReloadStack:
    return ReloadStack(
        item=f"{wanted.name}.configuration",
        summary=f"let {wanted.name} take over its configuration",
    )
