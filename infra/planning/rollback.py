"""Going back to an earlier release: what it takes, and what would be lost. Pure."""

import re
from collections.abc import Iterable

from infra.errors import BadInput, CouldNotRun
from infra.model.release import (
    BringRelease,
    EndRollout,
    HostReleases,
    Release,
    ReplaceData,
    RollbackChange,
    RollbackPlan,
)
from infra.model.request import RollbackRequest
from infra.model.snapshot import Manifest, NodeFact
from infra.model.stack import RenderedStack

#: Names that are told; the others are counted.
MOST_TOLD = 20
_MINOR = re.compile(r":v?([0-9]{1,4})\.([0-9]{1,4})\.[0-9]{1,4}$")


def plan_rollback(
    stack: RenderedStack, there: HostReleases, wanted: RollbackRequest
) -> RollbackPlan:
    """The way back of a stack. Raises BadInput, CouldNotRun for what can't be gone back to."""
    target = f"{stack.host}.{stack.name}"
    if there.unfinished:
        return RollbackPlan(target=target, changes=(_end_rollout(there, wanted),))
    current, to = _ends(there, wanted)
    server = stack.server
    snapshot = bool(server) and (
        _server(current, server) != _server(to, server) or wanted.with_data
    )
    changes: list[RollbackChange] = [
        BringRelease(
            item=f"{wanted.stack}.release",
            summary=f"bring the files and images of {to.id}: {_images(to)}",
            detail="A snapshot of the present data is taken first." if snapshot else "",
            interrupts=f"{wanted.stack} is replaced, as in a rollout.",
            release=to.id,
            snapshot=snapshot,
        )
    ]
    if wanted.with_data or (server and _minor(_name(current, server)) != _minor(_name(to, server))):
        changes.append(_data(there, to, stack))
    return RollbackPlan(target=target, changes=tuple(changes))


def lost(kept: Manifest, users: Iterable[str], nodes: Iterable[NodeFact]) -> tuple[str, ...]:
    """What is there now and not in the data that would be put in place; and the other way round."""
    now = {node.machine_key: node.name for node in nodes}
    then = {node.machine_key: node.name for node in kept.facts.nodes}
    present = set(users)
    found = [
        *(
            f"node {now[key]} would be gone, and has to log in again"
            for key in now.keys() - then.keys()
        ),
        *(f"user {name} would be gone" for name in present - set(kept.facts.users)),
        *(f"node {then[key]} would be back" for key in then.keys() - now.keys()),
        *(f"user {name} would be back" for name in set(kept.facts.users) - present),
    ]
    told = sorted(found)[:MOST_TOLD]
    rest = [f"… and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
    same = [] if found else ["users and nodes are the same as now"]
    return (f"The data are those of {kept.id}:", *told, *rest, *same)


def listing(there: HostReleases) -> str:
    """The releases as lines for people, newest first."""
    rows = [_row(release, there) for release in reversed(there.releases)]
    head = "A rollout was cut off before its gate: `meshkeeper rollout` ends it.\n"
    return (head if there.unfinished else "") + ("\n".join(rows) or "No release lies there yet.")


def megabytes(size: int) -> str:
    """Rounded up, so that nothing takes no room at all."""
    return f"{-(-size // 1_000_000):,} MB"


def _ends(there: HostReleases, wanted: RollbackRequest) -> tuple[Release, Release]:
    """The release that serves, and the one to go to."""
    known = {release.id: release for release in there.releases}
    if wanted.release not in known or there.current not in known:
        raise BadInput(
            f"{wanted.stack} has no release {wanted.release}.",
            f"There are: {', '.join(known) or 'none'}.",
        )
    if wanted.release == there.current:
        raise BadInput(f"{wanted.release} is the release of {wanted.stack} that serves.")
    return known[there.current], known[wanted.release]


def _end_rollout(there: HostReleases, wanted: RollbackRequest) -> EndRollout:
    """Of a rollout that was cut off one can only go back to the release that served before it."""
    if wanted.release != there.current:
        served = (
            f", or `meshkeeper rollback --to {there.current}` goes back" if there.current else ""
        )
        raise CouldNotRun(
            f"The last rollout of {wanted.stack} was cut off before its gate.",
            f"`meshkeeper rollout` finishes it{served}.",
        )
    begun = next((r for r in reversed(there.releases) if r.id > there.current and r.before), None)
    return EndRollout(
        item=f"{wanted.stack}.release",
        summary=f"put back what the rollout began that was cut off: {there.current} serves again",
        detail="If another version has had the data, those from before it come back."
        if begun
        else "",
        data_of=begun.id if begun else None,
        interrupts=f"{wanted.stack} is replaced, as in a rollout.",
    )


def _data(there: HostReleases, to: Release, stack: RenderedStack) -> ReplaceData:
    """Its data as the first release after it found them that could have changed them."""
    later = (release for release in there.releases if release.id > to.id and release.before)
    after = next(later, None)
    server = stack.server
    if (
        after is None
        or after.before is None
        or _minor(_served(there, after, server)) != _minor(_name(to, server))
    ):
        raise BadInput(
            f"No snapshot of the data of {to.id} is kept.",
            "Its files and images alone can be brought where the minor version stays the same.",
        )
    return ReplaceData(
        item=f"{stack.name}.data",
        summary=f"replace the data by the snapshot {after.before.id} of {after.before.image}",
        interrupts="What came later is lost. New requests may fail for some seconds.",
        data_of=after.id,
    )


def _served(there: HostReleases, release: Release, server: str | None) -> str:
    """The image name of the server whose data were kept before a release.

    Not the snapshot's own word: a rollout that was cut off may have renewed the sidecar first.
    """
    return _name(max((r for r in there.releases if r.id < release.id), key=lambda r: r.id), server)


def _server(release: Release, server: str | None) -> str:
    """The image id of its server."""
    return release.images.get(_name(release, server), "")


def _name(release: Release, server: str | None) -> str:
    """The image name of its server."""
    return release.containers.get(server or "", "")


def _minor(image: str) -> tuple[str, ...]:
    """Of a server's version; where its image has none in its name, the name itself."""
    match = _MINOR.search(image)
    return match.groups() if match else (image,)


def _images(release: Release) -> str:
    return ", ".join(dict.fromkeys(release.containers.values()))


def _row(release: Release, there: HostReleases) -> str:
    marks = [
        *(["serves"] if release.id == there.current else []),
        *([f"snapshot {release.before.id} from before it"] if release.before else []),
    ]
    return "  ".join([release.id, f"{megabytes(release.size):>8}", _images(release), *marks])
