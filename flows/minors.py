"""A rollout that skips minors of headscale, in one run: the rollouts that lead there, one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from infra.errors import MeshkeeperError
from infra.model.observation import StackState
from infra.model.request import StackName
from infra.model.stack import PENDING, RenderedStack
from infra.planning.upgrade import (
    CONTAINER,
    minors_between,
    running_version,
    version_of,
    with_version,
)
from infra.rollout.outlook import query, wanted_stacks
from tasks import rollout as steps
from tasks.site import OpenSite


class Leg(NamedTuple):
    """One rollout: the site as it asks for it, and which of its stacks.

    `way`: all versions of headscale through which the run goes, the one that ran first; empty: this
    rollout is the only one. `reached`: the one that serves before it.
    """

    opened: OpenSite
    stacks: dict[StackName, RenderedStack]
    way: tuple[str, ...] = ()
    reached: str = ""


def legs(opened: OpenSite, stacks: dict[StackName, RenderedStack]) -> list[Leg]:
    """The rollouts to make: of headscale alone up to the last, which is that of all `stacks`.

    By what the host runs now: a run that was killed goes on from there. Raises ImageUnavailable
    where nobody knows the newest patch of a minor between.
    """
    last = Leg(opened, stacks)
    if "headscale" not in stacks:
        return [last]
    state = _look(opened, stacks["headscale"])
    running = running_version(state)
    wanted = version_of(stacks["headscale"].container_images[CONTAINER])
    if running is None or wanted is None or running.major != wanted.major or running >= wanted:
        return [last]
    patches = [steps.find_patch(minor) for minor in minors_between(running, wanted)]
    # What was cut off asks its own gate first, or a red one of the next would go back over both.
    before = [str(running), *patches] if PENDING in state.files else patches
    if not before:
        return [last]
    way = (str(running), *patches, str(wanted))
    asked = [opened._replace(site=with_version(opened.site, version)) for version in before]
    alone = [Leg(each, wanted_stacks(each.settings, each.site, ("headscale",))) for each in asked]
    reached = [str(running), *before]
    return [
        leg._replace(way=way, reached=version)
        for leg, version in zip([*alone, last], reached, strict=True)
    ]


def _look(opened: OpenSite, headscale: RenderedStack) -> StackState:
    asked = query(opened.site, headscale.host, {"headscale": headscale})
    return steps.observe_stacks(opened, headscale.host, asked).stacks["headscale"]


@contextmanager
def telling_how_far(leg: Leg) -> Iterator[None]:
    """An error within says also which of the run's versions were rolled out before, and which not."""
    try:
        yield
    except MeshkeeperError as error:
        if not leg.way:
            raise
        missing = leg.way[leg.way.index(leg.reached) + 1 :]
        message = (
            f"headscale {leg.opened.site.stacks.headscale.version}: {error.message}\n"
            f"Of the way {' → '.join(leg.way)} this run went as far as {leg.reached}; not done: "
            f"{', '.join(missing)}."
        )
        hint = f"{error.hint} The same command goes on from what the host then runs.".strip()
        raise type(error)(message, hint) from error
