"""Proof 6: the restored relay is the one that clients know."""

from infra.drill import observer
from infra.drill.case import Case
from infra.drill.proofs.outcome import failed, listed, passed
from infra.errors import CouldNotRun, StepFailed
from infra.model.drill import Evidence, Kind


def prove(case: Case) -> Evidence:
    """Catches a relay that changes identity. Raises CouldNotRun without a pinned key."""
    pinned = case.anchor.derp_key
    if pinned is None:
        raise CouldNotRun("No relay key is pinned yet.", "Run 'meshkeeper rollout'.")
    try:
        found = observer.relay_key(case.world)
    except StepFailed as error:
        return failed(kind=Kind.RELAY, expected=pinned, found="no key", reason=error.message)
    problems = differences(found, case.manifest.facts.derp_key, pinned)
    if problems:
        return failed(kind=Kind.RELAY, expected=pinned, found=found, reason=listed(problems))
    return passed(kind=Kind.RELAY, expected=pinned, found=found)


def differences(found: str, manifest: str, pinned: str) -> list[str]:
    """In which of its witnesses the restored relay's key is another one."""
    witnesses = {"pinned at the first rollout": pinned, "in the manifest": manifest}
    return [
        f"the restored relay's key {found[:12]}… is not the one {whose}, {key[:12]}…"
        for whose, key in witnesses.items()
        if key != found
    ]
