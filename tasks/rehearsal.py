"""The step of a rehearsal that a drill does not have; the others are the drill's own."""

from infra.drill.case import Case
from infra.drill.rehearsal import migrated_from, upgraded
from infra.images.catalog import CATALOG
from infra.model.rehearsal import RehearsalReport
from infra.model.stack import RenderedStack
from infra.planning.upgrade import CONTAINER, require_step, version_of
from tasks.definition import step


@step(name="prepare", task_run_name="prepare headscale {begun.wanted} on the snapshot's data")
def prepare(case: Case, headscale: RenderedStack, begun: RehearsalReport) -> Case:
    """The case with the wanted server in place of the snapshot's own.

    Raises CouldNotRun for a snapshot of another version than the running one, BadInput for a step
    that headscale can't take.
    """
    old = migrated_from(case.manifest, begun.running, fresh=not begun.not_fresh)
    new = version_of(headscale.container_images[CONTAINER])
    if new is not None:
        require_step(old, new, CATALOG)
    folder = case.restored.folder.with_name("upgraded")
    return case.model_copy(update={"upgraded": upgraded(case.restored, headscale, folder)})
