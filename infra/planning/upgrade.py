"""Which way leads from one version of headscale to another: a minor at a time, and never back. Pure.

    same → nothing,  another patch, or the next minor → rehearsal,  all else → refused, with the way

Since 0.29 headscale refuses the same itself (its hscontrol/db/versioncheck.go), but only when it is
started on the host; and a database that 0.29 has touched stops 0.28.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from infra.errors import BadInput
from infra.model.observation import StackState
from infra.model.rehearsal import Upgrade
from infra.model.site import Site
from infra.model.stack import RenderedStack

CONTAINER = "headscale"
REPOSITORY = "headscale/headscale"
#: `\d` would match the digits of every script.
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})")


class Version(NamedTuple):
    """Of a release, in the order in which they came."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def version_of(image: str) -> Version | None:
    """The version that an image's name states; None where that names no released headscale.

    The name comes from the host: nothing but three numbers is taken from it.
    """
    repository, _, tag = image.partition(":")
    match = _VERSION.fullmatch(tag)
    if repository != REPOSITORY or match is None:
        return None
    return Version(*(int(number) for number in match.groups()))


def plan_upgrade(
    wanted: RenderedStack, state: StackState, *, has_data: bool, known: Iterable[str]
) -> Upgrade | None:
    """What has to be rehearsed; None: the version stays, or there is no data that it could harm.

    `has_data`: whether the host has a database. `known`: names of images that can be had.
    Raises BadInput for a step that headscale can't take.
    """
    if CONTAINER not in state.containers and not has_data:
        return None
    running, new = running_version(state), version_of(wanted.container_images[CONTAINER])
    if new is None or running == new:
        return None
    if running:
        require_step(running, new, known)
    return Upgrade(running=str(running) if running else None, wanted=str(new))


def require_step(running: Version, wanted: Version, known: Iterable[str]) -> None:
    """Raises BadInput, with the way to go, where this is no single step."""
    if wanted[:2] in {running[:2], (running.major, running.minor + 1)}:
        return
    arrow = f"headscale {running} → {wanted}"
    if wanted.major != running.major:
        raise BadInput(
            f"{arrow} is another major version, to which meshkeeper knows no way.",
            f"Nothing was touched. Write {running} at stacks.headscale.version.",
        )
    if wanted < running:
        raise BadInput(
            f"{arrow} goes back a minor version, and a migrated database does not go back.",
            f"Nothing was touched. Write {running} at stacks.headscale.version; image and data go "
            "back together to an earlier release by: meshkeeper rollback.",
        )
    steps = " → ".join([str(running), *way(running, wanted, known)])
    raise BadInput(
        f"{arrow} skips a minor version, and headscale migrates its database one at a time.",
        f"Nothing was touched. The way is {steps}: `meshkeeper rollout --through-minors` goes it in "
        "one run. Or write one after the other at stacks.headscale.version, and roll each out.",
    )


def way(running: Version, wanted: Version, known: Iterable[str]) -> tuple[str, ...]:
    """The versions to roll out one after the other, the wanted one last.

    Of each minor between, the newest patch among `known`; `0.28.x` where none is.
    """
    known = tuple(known)
    between = minors_between(running, wanted)
    return (*(newest_patch(minor, known) or f"{minor}.x" for minor in between), str(wanted))


def minors_between(running: Version, wanted: Version) -> tuple[str, ...]:
    """Those that a step would skip: `0.28`. None to another major version."""
    if running.major != wanted.major:
        return ()
    return tuple(f"{running.major}.{minor}" for minor in range(running.minor + 1, wanted.minor))


def newest_patch(minor: str, known: Iterable[str]) -> str | None:
    """The newest version of a minor among the images of these names."""
    versions = [version for name in known if (version := version_of(name))]
    newest = max((v for v in versions if f"{v.major}.{v.minor}" == minor), default=None)
    return str(newest) if newest else None


def running_version(state: StackState) -> Version | None:
    """What the host's headscale is; None where there is none, or none that tells."""
    container = state.containers.get(CONTAINER)
    return version_of(container.image) if container else None


def with_version(site: Site, version: str) -> Site:
    """The site as if its file asked for this version of headscale."""
    headscale = site.stacks.headscale.model_copy(update={"version": version})
    stacks = site.stacks.model_copy(update={"headscale": headscale})
    return site.model_copy(update={"stacks": stacks})
