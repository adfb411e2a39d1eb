"""What a mesh lacks: users that the site file declares, and the canary. Pure; removes nobody."""

from collections.abc import Iterable, Iterator

from infra.model.mesh import CreateUser, EnrolCanary, MeshChange, MeshPlan
from infra.model.observation import MeshState
from infra.model.stack import CANARY_TAG


def plan_mesh(
    host: str, users: Iterable[str], canary_key: str | None, state: MeshState | None
) -> MeshPlan:
    """`canary_key`: of the one whose state this machine has. `state`: None without a server."""
    changes = (*_users(users, state), *_canary(canary_key, state))
    return MeshPlan(target=f"{host}.mesh", changes=changes)


def _users(declared: Iterable[str], state: MeshState | None) -> Iterator[MeshChange]:
    there = state.users if state else ()
    for user in declared:
        if user not in there:
            yield CreateUser(item="mesh.user", summary=f"create user {user}", user=user)


def _canary(key: str | None, state: MeshState | None) -> Iterator[MeshChange]:
    known = state.tagged.get(CANARY_TAG, ()) if state else ()
    if known == (key,):
        return
    why = "the server does not know it"
    if known:
        why = "the server knows another" if key else "this machine does not have its state"
    yield EnrolCanary(item="mesh.canary", summary=f"enrol the canary: {why}")
