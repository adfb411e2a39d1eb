"""Gathering the evidence: one proof at a time, none of which can end a drill by an exception."""

import logging
import time
from collections.abc import Callable

from infra.drill.case import Case
from infra.drill.proofs import data, files, identity, login, relay, running
from infra.drill.proofs.outcome import could_not_run, not_reached
from infra.errors import MeshkeeperError
from infra.model.drill import Evidence, Kind

log = logging.getLogger(__name__)

#: Each in a world whose server runs, but for the files.
_PROOFS: dict[Kind, Callable[[Case], Evidence]] = {
    Kind.FILES: lambda case: files.prove(case.restored),
    Kind.IDENTITY: identity.prove,
    Kind.DATA: data.prove,
    Kind.LOGIN: login.prove,
    Kind.RUNNING_CLIENT: running.prove,
    Kind.RELAY: relay.prove,
}
#: What can be proved, one way or the other, without a running server.
_SERVERLESS = (Kind.FILES, Kind.DATA)


def gather(kind: Kind, case: Case) -> Evidence:
    """The evidence of one kind. What we could not look at is never a bad backup, nor a good one."""
    began = time.monotonic()
    try:
        evidence = _proved(kind, case)
    except Exception as error:  # noqa: BLE001 - a drill that breaks says nothing of the backup
        evidence = unknown(kind, why_unknown(error))
    return evidence.model_copy(update={"seconds": round(time.monotonic() - began, 3)})


def _proved(kind: Kind, case: Case) -> Evidence:
    if case.server_problem and kind not in _SERVERLESS:
        return not_reached(
            kind=kind,
            expected="a running server",
            found="none",
            reason="the restored server does not run",
        )
    return _PROOFS[kind](case)


def why_unknown(error: Exception) -> str:
    """Why we could not look, in a sentence; what nobody expected is logged in full."""
    if isinstance(error, MeshkeeperError):
        return str(error)
    log.error("The drill broke", exc_info=error)
    return f"the drill itself broke ({type(error).__name__}); its log tells where"


def unknown(kind: Kind, reason: str) -> Evidence:
    """Evidence that could not be gathered."""
    return could_not_run(kind=kind, expected="an answer", found="none", reason=reason)
