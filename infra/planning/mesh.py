"""What a mesh lacks: users that the site file declares, and the canary. Pure; removes nobody."""

from collections.abc import Iterable, Iterator

from infra.model.mesh import CreateUser, EnrolCanary, MeshChange, MeshPlan
from infra.model.observation import MeshState
from infra.model.stack import CANARY_TAG


def plan_mesh(
    host: str, users: Iterable[str], canary_is_ours: bool, state: MeshState | None
) -> MeshPlan:
    """`canary_is_ours`: this machine has its state. `state`: None before there is a server."""
    changes = (*_users(users, state), *_canary(canary_is_ours, state))
    return MeshPlan(target=f"{host}.mesh", changes=changes)


def _users(declared: Iterable[str], state: MeshState | None) -> Iterator[MeshChange]:
    there = state.users if state else ()
    for user in declared:
        if user not in there:
            yield CreateUser(item="mesh.user", summary=f"create user {user}", user=user)


def _canary(is_ours: bool, state: MeshState | None) -> Iterator[MeshChange]:
    known = state is not None and CANARY_TAG in state.tags
    if is_ours and known:
        return
    why = "this machine does not have its state" if known else "the server does not know it"
    yield EnrolCanary(item="mesh.canary", summary=f"enrol the canary: {why}")
