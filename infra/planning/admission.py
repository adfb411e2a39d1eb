"""Whether the stacks of a host fit into its memory and onto its disk. Pure.

Memory: every container at its limit, and what the rest of the host was measured to use, against the
RAM that it really has and a part of its swap. Disk: what a rollout would put there, by the rule of
`planning/room.py`, which is asked again on the host right before anything is sent.
"""

from collections.abc import Iterable, Mapping, Sequence

from infra.errors import BadInput
from infra.model.admission import Admission, Claim, Room, by_size, mib
from infra.model.observation import Observation
from infra.model.request import StackName
from infra.model.stack import RenderedStack, ShipImage, StackPlan
from infra.planning.room import MARGIN, TIMES_DATA, TIMES_IMAGES

#: Of the RAM; as much swap counts at most. Idle pages go there unnoticed (the sidecar sleeps for an
#: hour, a shell for days). What works does not: Go's collector touches the whole heap again and again,
#: so a server whose heap is in swap waits for the disk at each of its turns.
SWAP_SHARE = 0.25
REST = "the rest of the host, as measured"


def admit(
    wanted: Mapping[StackName, RenderedStack],
    plans: Mapping[StackName, StackPlan],
    seen: Observation,
    sizes: Mapping[str, int],
) -> Admission:
    """`wanted`: all stacks that are wanted on one host, also those that this run leaves alone. `plans`:
    what this run does there. `sizes`: of images by name, unpacked, in bytes.

    Where nothing would be started or written, nothing is refused.
    """
    stacks = tuple(wanted.values())
    if not stacks:
        return Admission()
    changes = [change for plan in plans.values() for change in plan.changes]
    memory = _memory(stacks, seen)
    disk = _disk(stacks, plans, seen, sizes)
    starts = any(change.kind == "start" for change in changes)
    refused = [memory] if starts and not memory.fits else []
    refused += [disk] if changes and not disk.fits else []
    tight = [room for room in (memory, disk) if room not in refused and _is_told(room, changes)]
    return Admission(refused=tuple(refused), tight=tuple(tight))


def require_room(admissions: Iterable[Admission]) -> None:
    """Raises BadInput with the numbers, and with what to lower."""
    refused = [room for admission in admissions for room in admission.refused]
    if refused:
        raise BadInput("\n".join(room.describe() for room in refused), _advice(refused))


def _is_told(room: Room, changes: Sequence[object]) -> bool:
    """A disk that nothing is written to is the audit's affair."""
    return room.tight and (room.what == "memory" or bool(changes))


def _memory(stacks: Sequence[RenderedStack], seen: Observation) -> Room:
    limits = {name: limit for stack in stacks for name, limit in stack.memory.items()}
    measured = sum(seen.memory.containers.get(name, 0) for name in limits)
    rest = Claim(who=REST, bytes=max(0, seen.memory.used_bytes - measured))
    machine = seen.host.machine
    # A container's swap is the machine's below it, and not promised to anybody.
    swap = 0 if machine.container else sum(seen.host.swaps.values())
    counted = min(swap, int(machine.ram_bytes * SWAP_SHARE))
    part = f", and {mib(counted)} of its {mib(swap)} of swap" if counted else ""
    return Room(
        host=stacks[0].host,
        what="memory",
        claims=(rest, *(claim for stack in stacks for claim in _limits(stack))),
        has_bytes=machine.ram_bytes + counted,
        has=f"{mib(machine.ram_bytes)} of RAM{part}",
    )


def _limits(stack: RenderedStack) -> Iterable[Claim]:
    for name, limit in stack.memory.items():
        place = f"stacks.{stack.name}.memory_mb" if name == stack.name else ""
        yield Claim(who=f"the limit of {name}", bytes=limit, place=place)


def _disk(
    stacks: Sequence[RenderedStack],
    plans: Mapping[StackName, StackPlan],
    seen: Observation,
    sizes: Mapping[str, int],
) -> Room:
    changes = [change for plan in plans.values() for change in plan.changes]
    ships = dict.fromkeys(change.image for change in changes if isinstance(change, ShipImage))
    claims = [
        Claim(who=f"the image {name}, twice while it is unpacked", bytes=TIMES_IMAGES * size)
        for name in ships
        if (size := sizes.get(name, 0))
    ]
    changed = {name for name, plan in plans.items() if not plan.empty}
    claims += _copies([stack for stack in stacks if stack.name in changed], seen)
    claims.append(Claim(who="left free for logs and updates", bytes=MARGIN))
    free = seen.host.machine.disk_free_bytes
    return Room(
        host=stacks[0].host,
        what="disk",
        claims=tuple(claims),
        has_bytes=free,
        has=f"free of {mib(seen.host.machine.disk_bytes)}",
    )


def _copies(changed: Iterable[RenderedStack], seen: Observation) -> Iterable[Claim]:
    """A release keeps the data of those that declare a snapshot; of others it keeps none."""
    for stack in changed:
        there = seen.stacks.get(stack.name)
        if stack.snapshot and there and (size := there.data_bytes):
            who = f"the data of {stack.name}, three times to keep and put back"
            yield Claim(who=who, bytes=TIMES_DATA * size)


def _advice(refused: Sequence[Room]) -> str:
    return " ".join(_advice_on(room) for room in refused)


def _advice_on(room: Room) -> str:
    missing = mib(room.wanted_bytes - room.has_bytes)
    if room.what == "disk":
        return (
            f"On the disk of {room.host} {missing} are missing: 'sudo du -xhd2 /' there shows what "
            "takes the rest."
        )
    largest = by_size(room.claims)
    places = ", ".join(f"{c.place} ({mib(c.bytes)})" for c in largest if c.place)
    lower = f"in the site file lower {places}, " if places else ""
    look = " 'ps aux --sort=-rss' there shows the rest." if largest[0].who == REST else ""
    return (
        f"{missing} of memory are missing: {lower}leave out a stack that "
        f"you can do without, or give {room.host} a larger machine.{look}"
    )
