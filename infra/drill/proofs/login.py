"""Proof 4: a client with a registered identity logs in to the restored server."""

from infra.drill import canary, server
from infra.drill.case import Case
from infra.drill.containers import remove
from infra.drill.proofs.clients import canary_of
from infra.drill.proofs.outcome import failed, passed
from infra.model.drill import Evidence, Kind

_ROLE = "login-client"


def prove(case: Case) -> Evidence:
    """Catches a database or a wire that no client can use. Raises CouldNotRun."""
    enrolled = canary_of(case)
    expected = f"{enrolled.node_name} online with {enrolled.address}"
    canary.start(case.world, _ROLE, case.client_image, case.canary_state)
    wanted = canary.Wanted(
        server=server.RESTORED, address=enrolled.address, limit=canary.LOGIN_LIMIT
    )
    problem = canary.wait_online(case.world, _ROLE, wanted)
    # Two clients with one node key would fight; the next proof starts its own.
    remove(case.world, _ROLE)
    if problem:
        reason = f"the canary {enrolled.node_name} could not log in: {problem}"
        return failed(kind=Kind.LOGIN, expected=expected, found=problem, reason=reason)
    return passed(kind=Kind.LOGIN, expected=expected, found=expected)
