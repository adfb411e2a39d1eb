"""An upgrade tried on a snapshot: its data under the wanted version and the wanted configuration."""

from datetime import datetime
from pathlib import Path

from infra.drill.case import Restored, Upgraded
from infra.drill.findings import Findings
from infra.drill.verdict import verdict
from infra.errors import CouldNotRun
from infra.model.drill import Verdict
from infra.model.rehearsal import RehearsalReport, RehearsalVerdict
from infra.model.snapshot import CONFIG, DERP_MAP, EXTRA_RECORDS, POLICY, REQUIRED_FILES, Manifest
from infra.model.stack import RenderedStack
from infra.planning.upgrade import CONTAINER, REPOSITORY, Version, version_of

#: What a rollout writes anew; the rest of a snapshot is data.
_CONFIGURATION = (CONFIG, POLICY, DERP_MAP, EXTRA_RECORDS)
_VERDICTS = {
    Verdict.VERIFIED: RehearsalVerdict.PASSED,
    Verdict.FAILED: RehearsalVerdict.FAILED,
    Verdict.COULD_NOT_RUN: RehearsalVerdict.COULD_NOT_RUN,
}


def migrated_from(manifest: Manifest, running: str | None, *, fresh: bool) -> Version:
    """The version whose data the rehearsal migrates.

    A fresh snapshot is of what runs, whatever its manifest says: the sidecar, which names the image,
    may be new already where a rollout was cut off. Raises CouldNotRun for an older one of another
    version: its data would tell nothing of this upgrade.
    """
    found = version_of(manifest.image)
    runs = version_of(f"{REPOSITORY}:{running}") if running else found
    if runs is None or (runs != found and not fresh):
        raise CouldNotRun(
            f"The newest snapshot, {manifest.id}, is of {found or 'an unknown version'} of "
            f"headscale; the host runs {running or 'one that it does not tell'}.",
            "Run 'meshkeeper backup', which has a fresh one made.",
        )
    return runs


def upgraded(restored: Restored, headscale: RenderedStack, folder: Path) -> Upgraded:
    """Lay out in the new `folder` what the wanted server starts on; the snapshot stays as it is."""
    folder.mkdir(mode=0o700)
    for name in REQUIRED_FILES:
        if name in _CONFIGURATION:
            (folder / name).write_text(headscale.files[f"config/{name}"].content)
        elif (restored.folder / name).is_file():
            (folder / name).hardlink_to(restored.folder / name)
    return Upgraded(
        image=headscale.container_images[CONTAINER],
        folder=folder,
        policy_sha256=headscale.files[f"config/{POLICY}"].sha256,
    )


def report_of(findings: Findings, begun: RehearsalReport, now: datetime) -> RehearsalReport:
    """`begun` with what was found; `now`: UTC."""
    manifest = findings.restored.manifest if findings.restored else None
    outcome, reason = verdict(findings.evidence)
    if findings.problem:
        outcome, reason = Verdict.COULD_NOT_RUN, findings.problem
    version = version_of(manifest.image) if manifest else None
    age = (begun.started_at - manifest.created_at).total_seconds() if manifest else None
    found = {
        "running": begun.running or (str(version) if version else None),
        "snapshot": findings.restored.id if findings.restored else None,
        "snapshot_age_seconds": age,
        "evidence": findings.evidence,
        "verdict": _VERDICTS[outcome],
        "reason": reason,
        "seconds": round((now - begun.started_at).total_seconds(), 1),
    }
    return begun.model_copy(update=found)
