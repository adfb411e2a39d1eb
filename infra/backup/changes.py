"""What differs in a mesh between two snapshots: told to the user, since nobody else may know."""

from collections.abc import Iterator

from infra.model.snapshot import Credential, MeshFacts, NodeFact
from infra.text import plain


def changes(before: MeshFacts, after: MeshFacts) -> Iterator[str]:
    """One sentence for each user, node, key or route that appeared, went or changed.

    The facts come from a host: 1 MB of them makes 300,000 sentences. Take no more than you tell.
    """
    return map(plain, _changes(before, after))


def _changes(before: MeshFacts, after: MeshFacts) -> Iterator[str]:
    old = {node.id: node for node in before.nodes}
    new = {node.id: node for node in after.nodes}
    keys = set(before.credentials)
    yield from (f"user {name} appeared" for name in after.users if name not in before.users)
    yield from (f"user {name} is gone" for name in before.users if name not in after.users)
    yield from (_appeared(node) for number, node in new.items() if number not in old)
    yield from (f"node {old[number].name} is gone" for number in old if number not in new)
    both = (number for number in old if number in new)
    yield from (line for number in both for line in _changed(old[number], new[number]))
    yield from (_let_in(key) for key in after.credentials if key not in keys)
    if before.policy_sha256 != after.policy_sha256:
        yield "the policy is another"


def _appeared(node: NodeFact) -> str:
    details = [f"user {node.user}" if node.user else "no user", *node.addresses, *node.tags]
    routes = [f"routes {', '.join(node.approved_routes)}"] if node.approved_routes else []
    return f"node {node.name} appeared ({', '.join([*details, *routes])})"


def _let_in(key: Credential) -> str:
    """What a new key lets in. One that went is no news: headscale's keys expire."""
    who = [f"user {key.user}"] if key.user else []
    details = [*who, *key.tags, *(["reusable"] if key.reusable else [])]
    return f"{key.kind} {key.prefix or key.id} appeared" + (
        f" ({', '.join(details)})" if details else ""
    )


def _changed(before: NodeFact, after: NodeFact) -> list[str]:
    name = after.name
    lines = []
    if before.name != name:
        lines.append(f"node {before.name} is now called {name}")
    if before.node_key != after.node_key:
        lines.append(f"node {name} has another key")
    if before.machine_key != after.machine_key:
        lines.append(f"node {name} is another machine")
    if before.user != after.user:
        lines.append(
            f"node {name} belongs to {after.user or 'nobody'}, not {before.user or 'nobody'}"
        )
    if before.addresses != after.addresses:
        lines.append(f"node {name} has the addresses {', '.join(after.addresses)}")
    lines += _moved(f"node {name}: tag", before.tags, after.tags)
    lines += _moved(f"node {name}: route", before.approved_routes, after.approved_routes)
    return lines


def _moved(what: str, before: tuple[str, ...], after: tuple[str, ...]) -> list[str]:
    return [
        *(f"{what} {item} appeared" for item in after if item not in before),
        *(f"{what} {item} is gone" for item in before if item not in after),
    ]
