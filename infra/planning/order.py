"""In which order stacks are rolled out. Pure."""

from collections.abc import Collection, Mapping

from infra.errors import BadInput


def rollout_order(needs: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The names, each after those that it needs; otherwise as they were given.

    `needs`: stack → stacks. One that is not among the keys is not waited for. Raises BadInput for
    stacks that need each other.
    """
    ordered: list[str] = []
    left = list(needs)
    while left:
        ready = next((name for name in left if not _awaited(name, needs, left)), None)
        if ready is None:
            raise BadInput(
                f"No order can be found for the stacks {_circle(left, needs)}: each needs the next.",
                "Take one of these out of needs.stacks in a stack.yaml.",
            )
        ordered.append(ready)
        left.remove(ready)
    return tuple(ordered)


def _awaited(
    name: str, needs: Mapping[str, Collection[str]], left: Collection[str]
) -> tuple[str, ...]:
    return tuple(needed for needed in needs[name] if needed in left)


def _circle(left: list[str], needs: Mapping[str, Collection[str]]) -> str:
    """`a → b → a`: following what is awaited, one comes round at last."""
    walked = [left[0]]
    while (following := _awaited(walked[-1], needs, left)[0]) not in walked:
        walked.append(following)
    return " → ".join([*walked[walked.index(following) :], following])
