"""The steps of a drill: restore, isolate, and one row for each proof."""

from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from infra.access.anchor import canary_state_path, load_anchor
from infra.backup.store import find, restore, site_repository, snapshot_id
from infra.drill.case import Case, Restored
from infra.drill.gather import gather
from infra.drill.isolation import build, obtain_images
from infra.drill.world import World
from infra.errors import BackupFailed, CouldNotRun
from infra.model.drill import Evidence, Kind, Outcome
from tasks.definition import step
from tasks.site import OpenSite


@step(name="restore", task_run_name="restore {wanted} from the repository")
def restore_snapshot(opened: OpenSite, wanted: str, folder: Path) -> Restored:
    """Restore a snapshot into `folder`/snapshot.

    Raises CouldNotRun when there is none, or the repository can't be opened; BackupFailed when
    what comes out is no snapshot.
    """
    site, settings = opened.site, opened.settings
    repository = site_repository(settings, site)
    try:
        stored = find(repository, site.name, wanted)
    except BackupFailed as error:
        raise CouldNotRun(error.message, error.hint) from None
    target = folder / "snapshot"
    target.mkdir(mode=0o700)
    manifest = restore(repository, stored, target)
    return Restored(id=snapshot_id(stored), folder=target, manifest=manifest)


def case_of(opened: OpenSite, restored: Restored, world_id: str) -> Case:
    """What the proofs are given: the restored snapshot, and what we know without it."""
    site, settings = opened.site, opened.settings
    return Case(
        site=site,
        restored=restored,
        anchor=load_anchor(settings, site.name),
        canary_state=canary_state_path(settings, site.name),
        world=World(id=world_id, host_name=site.headscale_name),
    )


@step(name="isolate", task_run_name="start {case.image} in isolation")
def isolate(case: Case) -> Case:
    """Build the isolated world; the case then says whether the restored server runs.

    Raises CouldNotRun (no Docker, no image).
    """
    try:
        images = obtain_images(case.image, case.site)
        problem = build(case.world, images, case.folder, case.anchor.server_key)
    except BackupFailed as error:
        return case.model_copy(update={"server_problem": str(error)})
    return case.model_copy(update={"server_problem": problem, "client_image": images.tailscale})


@step(name="evidence", task_run_name="evidence: {kind}")
def prove(kind: Kind, case: Case) -> State[Evidence]:
    """One proof, as a row that is named and coloured after its outcome."""
    evidence = gather(kind, case)
    if evidence.outcome is Outcome.PASSED:
        return Completed(name="Passed", message=evidence.found, data=evidence)
    name = evidence.outcome.title().replace(" ", "")
    return Failed(name=name, message=evidence.reason, data=evidence)
