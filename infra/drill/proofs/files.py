"""Proof 1: every required file is there, and is as its manifest says."""

from infra.backup.verify import check_files
from infra.drill.case import Restored
from infra.drill.proofs.outcome import failed, listed, passed
from infra.model.drill import Evidence, Kind
from infra.model.snapshot import REQUIRED_FILES


def prove(restored: Restored) -> Evidence:
    """Catches missing or damaged files, and the manifest of another snapshot."""
    problems = check_files(restored.folder, restored.manifest)
    if restored.manifest.id != restored.id:
        problems.insert(0, f"the manifest is that of {restored.manifest.id}, not of {restored.id}.")
    expected = f"{len(REQUIRED_FILES)} files as in the manifest of {restored.id}"
    if problems:
        reason = listed(problems)
        return failed(kind=Kind.FILES, expected=expected, found=reason, reason=reason)
    return passed(kind=Kind.FILES, expected=expected, found=f"{len(REQUIRED_FILES)} files, equal")
