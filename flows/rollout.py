"""Rolling out: plan from one look, apply in order, gate, and put everything back when it is red."""

import logging
from dataclasses import dataclass, field

from flows.definition import site_flow
from infra.errors import GateFailed, MeshkeeperError
from infra.images.platforms import architecture_of
from infra.model.mesh import MeshPlan
from infra.model.request import RolloutRequest, StackName
from infra.model.stack import Applied, Check, RenderedStack, RolloutPlan, RolloutReport, StackPlan
from infra.planning.admission import admit, require_room
from infra.rollout.outlook import mesh_plan, plans, query, stacks_on, wanted_stacks
from infra.rollout.pins import recorded_sizes
from infra.rollout.report import markdown
from tasks import rollout as steps
from tasks.report import publish_report
from tasks.site import OpenSite, open_site

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What was done so far; `touched` is what a red gate puts back, last first."""

    touched: list[RenderedStack] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


@site_flow(name="rollout", run_name="roll out {request.site}")
def rollout(request: RolloutRequest) -> RolloutReport:
    """Bring the stacks to the state that lies in infra/docker, and what the mesh needs besides."""
    opened = open_site(request.site)
    stacks = wanted_stacks(opened.site, request.stacks)
    return carry_out(opened, stacks, plan_all(opened, stacks))


def carry_out(
    opened: OpenSite, stacks: dict[StackName, RenderedStack], planned: RolloutPlan
) -> RolloutReport:
    """What is planned, and nothing else; all of it comes back when a gate is red."""
    progress = Progress()
    for name, plan in planned.stacks.items():
        if any(change.kind == "ship" for change in plan.changes):
            progress.applied.append(steps.send_images(opened, stacks[name], plan))
    try:
        for name, plan in planned.stacks.items():
            bring(opened, stacks[name], plan, progress)
        progress.checks += steps.gate_outside(opened, opened.site.stacks.headscale.host)
    except Exception as error:
        if not progress.touched:
            raise
        raise GateFailed(*told(error, all_back(opened, progress))) from error
    for stack in progress.touched:
        steps.finish(opened, stack)
    return complete(opened, stacks, planned, progress)


def plan_all(opened: OpenSite, stacks: dict[StackName, RenderedStack]) -> RolloutPlan:
    """One look per host. Nothing is touched when all plans are empty.

    Raises BadInput for a host that is too small for what is wanted of it.
    """
    planned: dict[StackName, StackPlan] = {}
    mesh, room = None, []
    for host in dict.fromkeys(stack.host for stack in stacks.values()):
        here = {name: stack for name, stack in stacks.items() if stack.host == host}
        seen = steps.observe_stacks(opened, host, query(opened.site, host, here))
        names = tuple(sorted({image for stack in here.values() for image in stack.images}))
        kind = architecture_of(seen.host.machine.architecture, host)
        here_planned = plans(here, steps.have_images(opened, names, kind), seen)
        planned |= here_planned
        sizes = recorded_sizes(opened.settings, opened.site.name)
        every = tuple(stacks_on(opened.site, host).values())
        room.append(admit(every, here_planned.values(), seen, sizes))
        if "headscale" in here:
            mesh = mesh_plan(opened.settings, opened.site, seen)
    require_room(room)
    return RolloutPlan(stacks=planned, mesh=mesh, room=tuple(room))


def bring(opened: OpenSite, stack: RenderedStack, plan: StackPlan, progress: Progress) -> None:
    """One stack to its wanted state; it counts as touched from the first file on.

    The gate is asked also where nothing differs: what is in order must serve, too.
    """
    if not plan.empty:
        progress.touched.append(stack)
        progress.applied.append(steps.write_files(opened, stack, plan))
        progress.applied.append(steps.start(opened, stack, plan))
    progress.checks += steps.gate_on_host(opened, stack)


def all_back(opened: OpenSite, progress: Progress) -> list[str]:
    """Put what was touched back, last first; what could not be put back, as sentences."""
    problems = []
    for stack in reversed(progress.touched):
        try:
            steps.put_back(opened, stack)
        except Exception as error:  # noqa: BLE001 - the others are put back all the same
            problems.append(
                f"{stack.name} could not be put back: {error} The next rollout finds and ends what is unfinished."
            )
    return problems


def told(error: Exception, problems: list[str]) -> tuple[str, str]:
    """Message and hint of a rollout that failed."""
    back = "\n".join(problems) or "Files and images are back as they were before."
    if isinstance(error, MeshkeeperError):
        return f"{error.message}\n{back}", error.hint
    log.error("The rollout broke", exc_info=error)
    return f"The rollout itself broke ({type(error).__name__}); its log tells where.\n{back}", ""


def complete(
    opened: OpenSite,
    stacks: dict[StackName, RenderedStack],
    planned: RolloutPlan,
    progress: Progress,
) -> RolloutReport:
    """Users, the pinned identity and the canary, which all need a server that serves."""
    report = RolloutReport(
        site=opened.site.name,
        plan=planned,
        applied=tuple(progress.applied),
        checks=tuple(progress.checks),
    )
    if planned.mesh:
        done = complete_mesh(opened, stacks["headscale"], planned.mesh)
        report = report.model_copy(update=done)
    publish_report("rollout", markdown(report), report)
    return report


def complete_mesh(opened: OpenSite, headscale: RenderedStack, plan: MeshPlan) -> dict[str, object]:
    """The report's part on the mesh."""
    users = tuple(change.user for change in plan.changes if change.kind == "user")
    created = steps.create_users(opened, headscale.host, users) if users else ()
    canary = steps.pin_identity(opened, headscale).canary
    enrolled = any(change.kind == "canary" for change in plan.changes)
    if enrolled:
        canary = steps.enrol(opened, headscale.host)
    return {
        "users_created": created,
        "canary": f"{canary.node_name} ({canary.address})" if canary else "",
        "canary_enrolled": enrolled,
    }
