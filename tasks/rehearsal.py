"""The step of a rehearsal that a drill does not have; the others are the drill's own."""

from infra.drill.case import Case
from infra.drill.rehearsal import snapshot_version, upgraded
from infra.model.rehearsal import Upgrade
from infra.model.stack import RenderedStack
from infra.planning.upgrade import CONTAINER, require_step, version_of
from tasks.definition import step


@step(name="prepare", task_run_name="prepare {upgrade.wanted} on the snapshot's data")
def prepare(case: Case, headscale: RenderedStack, upgrade: Upgrade, known: tuple[str, ...]) -> Case:
    """The case with the wanted server in place of the snapshot's own.

    `known`: names of images that can be had. Raises CouldNotRun for the snapshot of another
    version than the running one, BadInput for a step that headscale can't take.
    """
    written_by = snapshot_version(case.manifest, upgrade.running)
    wanted = version_of(headscale.container_images[CONTAINER])
    if wanted is not None:
        require_step(written_by, wanted, known)
    folder = case.restored.folder.with_name("upgraded")
    return case.model_copy(update={"upgraded": upgraded(case.restored, headscale, folder)})
