"""Proof 5: a client that was running when production was lost comes back by itself.

It remembers production's noise key. A client that starts afresh would not notice a lost key: it
asks for the new one.
"""

import time

from infra.drill import canary, front, server
from infra.drill.case import Case
from infra.drill.containers import remove
from infra.drill.proofs.clients import canary_of
from infra.drill.proofs.outcome import failed, passed
from infra.model.drill import Evidence, Kind

_ROLE = "running-client"
LOCKED_OUT = "clients that are running would be locked out until restarted"


def prove(case: Case) -> Evidence:
    """Catches a server that only clients without a memory can use. Raises CouldNotRun."""
    enrolled = canary_of(case)
    expected = f"{enrolled.node_name} stays online while the server is replaced beneath it"
    began = time.monotonic()
    problem = _remember(case, enrolled.address)
    joined = time.monotonic()
    if problem:
        reason = f"{LOCKED_OUT}: with production's key in memory, {problem}"
        return failed(kind=Kind.RUNNING_CLIENT, expected=expected, found=problem, reason=reason)
    problem = _replace(case, enrolled.address)
    if problem:
        reason = f"{LOCKED_OUT}: when the server was replaced beneath it, {problem}"
        return failed(kind=Kind.RUNNING_CLIENT, expected=expected, found=problem, reason=reason)
    found = (
        f"online after {joined - began:.1f} s with production's key in memory, and back by itself "
        f"{time.monotonic() - joined:.1f} s after the server was replaced"
    )
    return passed(kind=Kind.RUNNING_CLIENT, expected=expected, found=found)


def _remember(case: Case, address: str) -> str:
    """Bring a client online that was told production's key; why not, or an empty string."""
    front.show(case.world, front.REMEMBERED)
    canary.start(case.world, _ROLE, case.client_image, case.canary_state)
    return canary.wait_online(case.world, _ROLE, _wanted(case, server.RESTORED, address))


def _replace(case: Case, address: str) -> str:
    """Put a second restore in the server's place, and wait until *it* has the client."""
    if problem := server.wait_healthy(case.world, server.SUCCESSOR):
        return f"the second restore does not start: {problem}"
    front.show(case.world, front.REPLACED)
    remove(case.world, server.RESTORED)
    return canary.wait_online(case.world, _ROLE, _wanted(case, server.SUCCESSOR, address))


def _wanted(case: Case, role: str, address: str) -> canary.Wanted:
    limit = max(canary.RUNNING_LIMIT, canary.RUNNING_FACTOR * case.login_seconds)
    return canary.Wanted(server=role, address=address, limit=limit)
