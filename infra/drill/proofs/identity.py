"""Proof 2: the restored server is the one that clients know.

Headscale silently makes a new noise key when it finds none; only the key on the wire shows it.
"""

import httpx

from infra.access.web import get
from infra.drill import observer
from infra.drill.case import Case
from infra.drill.proofs.outcome import failed, listed, passed
from infra.errors import CouldNotRun, StepFailed
from infra.model.drill import Evidence, Kind

#: Seconds to wait for the live server, which may be what was lost.
LIVE_TIMEOUT = 3.0


def prove(case: Case) -> Evidence:
    """Catches a lost or foreign noise key, also one that the manifest agrees with.

    Raises CouldNotRun without a pinned key.
    """
    pinned = case.anchor.server_key
    if pinned is None:
        raise CouldNotRun("No server key is pinned yet.", "Run 'meshkeeper rollout'.")
    try:
        restored = observer.server_key(case.world)
    except StepFailed as error:
        return failed(kind=Kind.IDENTITY, expected=pinned, found="no key", reason=error.message)
    live = _live_key(case)
    found = f"{restored}; {_live_note(live, pinned)}"
    problems = differences(restored, case.manifest.facts.server_key, pinned)
    if problems:
        return failed(kind=Kind.IDENTITY, expected=pinned, found=found, reason=listed(problems))
    return passed(kind=Kind.IDENTITY, expected=pinned, found=found)


def differences(restored: str, manifest: str, pinned: str) -> list[str]:
    """In which of its witnesses the restored server's key is another one.

    The live server is none: when it shows another key than the pinned one, production is not what
    it was, and the backup is what brings it back.
    """
    witnesses = {"pinned at the first rollout": pinned, "in the manifest": manifest}
    return [
        f"the restored server's key {_short(restored)} is not the one {whose}, {_short(key)}"
        for whose, key in witnesses.items()
        if key != restored
    ]


def _live_key(case: Case) -> str | None:
    """The key that clients are given now; None when the live server can't be asked."""
    try:
        answer = get(f"{case.site.server_url}/key?v=113", case.site.network, LIVE_TIMEOUT)
        return str(answer.raise_for_status().json()["publicKey"])[:200]
    except (CouldNotRun, httpx.HTTPStatusError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _live_note(key: str | None, pinned: str) -> str:
    if key is None:
        return "the live server could not be asked"
    if key == pinned:
        return "the live server shows the same"
    return f"BUT THE LIVE SERVER SHOWS {_short(key)}: production is not the server that we pinned"


def _short(key: str) -> str:
    return f"{key[:17]}…"
