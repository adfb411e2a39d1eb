"""What both proofs by a client begin with: is there a canary that this snapshot knows?"""

from infra.drill.case import Case
from infra.errors import CouldNotRun
from infra.model.anchor import Canary


def canary_of(case: Case) -> Canary:
    """The enrolled canary. Raises CouldNotRun when there is none, or it is too young."""
    enrolled = case.anchor.canary
    if enrolled is None or not case.canary_state.is_file():
        raise CouldNotRun("No canary is enrolled in production.", "Run 'meshkeeper rollout'.")
    if case.manifest.created_at < enrolled.enrolled_at:
        raise CouldNotRun(
            f"The snapshot is older than the canary, which was enrolled at "
            f"{enrolled.enrolled_at:%Y-%m-%d %H:%M:%S} UTC.",
            "Drill a newer snapshot.",
        )
    if not any(enrolled.address in node.addresses for node in case.manifest.facts.nodes):
        raise CouldNotRun(
            "The mesh had lost its canary when this snapshot was taken: its manifest names no node "
            f"with {enrolled.address}.",
            "Run 'meshkeeper rollout', which enrols one anew, then a backup.",
        )
    return enrolled
