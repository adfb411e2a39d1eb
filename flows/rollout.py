"""Rolling out: plan from one look, have it approved, apply in order, gate, put all back when it is red."""

import logging
from dataclasses import dataclass, field
from typing import NamedTuple

from flows.approval import ask, asks
from flows.definition import site_flow
from flows.minors import Leg, legs, telling_how_far
from flows.rehearsal import rehearse
from infra.access.kept import keeping_connections
from infra.errors import GateFailed, LockLost, MeshkeeperError
from infra.images.platforms import Architecture, architecture_of
from infra.model.admission import Admission
from infra.model.approval import Approval
from infra.model.mesh import MeshPlan
from infra.model.observation import Observation
from infra.model.rehearsal import Upgrade
from infra.model.request import RolloutRequest, StackName
from infra.model.stack import (
    Applied,
    Check,
    PutBack,
    RenderedStack,
    RolloutPlan,
    RolloutReport,
    StackPlan,
)
from infra.planning.admission import admit, require_room
from infra.rollout.outlook import (
    mesh_plan,
    plans,
    query,
    retired,
    stacks_on,
    upgrade_of,
    wanted_stacks,
)
from infra.rollout.pins import key_of, record_ids, recorded_ids, recorded_sizes
from infra.rollout.report import markdown
from infra.rollout.watch import watches
from tasks import rollout as steps
from tasks.lock import locked
from tasks.report import publish_report
from tasks.site import OpenSite, open_site

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What was done so far; `touched` is what a red gate puts back, last first. `diffs`: of what was
    put back, by stack."""

    approval: Approval | None = None
    touched: list[RenderedStack] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    diffs: dict[StackName, str] = field(default_factory=dict)


@dataclass
class Back:
    """How the way back ended, as sentences."""

    problems: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@site_flow(name="rollout", run_name="roll out {request.site}")
def rollout(request: RolloutRequest) -> RolloutReport:
    """Bring the stacks to the state that lies in infra/docker, and what the mesh needs besides."""
    opened = open_site(request.site)
    stacks = wanted_stacks(opened.settings, opened.site, request.stacks)
    *before, last = legs(opened, stacks) if request.through_minors else [Leg(opened, stacks)]
    for leg in before:
        with telling_how_far(leg):
            rolled_out(request, leg)
    with telling_how_far(last):
        return rolled_out(request, last)


def rolled_out(request: RolloutRequest, leg: Leg) -> RolloutReport:
    """One rollout, from its plan to its report.

    What was approved is compared with what the host then needs: it may have changed meanwhile.
    """
    opened, stacks = leg.opened, leg.stacks
    with keeping_connections():
        planned = plan_leg(opened, leg)
        if planned.empty:
            return carry_out(opened, stacks, planned, None)
    approval: Approval | None = None
    rehearsed: Upgrade | None = None
    while True:
        if planned.upgrade and planned.upgrade != rehearsed:
            rehearse(opened, stacks["headscale"], planned.upgrade)
            rehearsed = planned.upgrade
        if asks(request, planned, approval):
            approval = ask(planned, again=approval is not None)
        with locked(opened, hosts_of(stacks), f"rollout of {', '.join(stacks)}") as held:
            planned = plan_leg(held, leg)
            if planned.upgrade in {None, rehearsed} and not asks(request, planned, approval):
                return carry_out(held, stacks, planned, approval)


def plan_leg(opened: OpenSite, leg: Leg) -> RolloutPlan:
    """`opened`: with the locks that the run holds by now."""
    return plan_all(opened, leg.stacks).model_copy(update={"way": leg.way})


def carry_out(
    opened: OpenSite,
    stacks: dict[StackName, RenderedStack],
    planned: RolloutPlan,
    approval: Approval | None,
) -> RolloutReport:
    """What is planned, and nothing else; all of it comes back when a gate is red."""
    progress = Progress(
        approval if approval and approval.plan == planned.digest else None,
        applied=sent(opened, stacks, planned),
    )
    try:
        for name, plan in planned.stacks.items():
            bring(opened, stacks[name], plan, progress)
        progress.checks += steps.gate_outside(opened, tuple(stacks))
        progress.checks += [steps.watch(opened, each) for each in watches(stacks, planned.stacks)]
    except LockLost as error:
        tell_failure(opened, planned, progress, error)
        raise
    except Exception as error:
        if not progress.touched:
            raise
        failed = GateFailed(*told(error, all_back(opened, progress)))
        tell_failure(opened, planned, progress, failed)
        raise failed from error
    try:
        for stack in progress.touched:
            steps.finish(opened, stack)
        take_down_retired(opened, planned, progress)
    except MeshkeeperError as error:
        tell_failure(opened, planned, progress, error)
        raise
    record_ids(opened.settings, opened.site.name, planned.images)
    return complete(opened, stacks, planned, progress)


def sent(
    opened: OpenSite, stacks: dict[StackName, RenderedStack], planned: RolloutPlan
) -> list[Applied]:
    """The images that the hosts lack, once it is known that there is room for all."""
    for name, plan in planned.stacks.items():
        if not plan.empty:
            steps.have_room(opened, stacks[name], plan)
    return [
        steps.send_images(opened, stacks[name], plan)
        for name, plan in planned.stacks.items()
        if any(change.kind == "ship" for change in plan.changes)
    ]


def plan_all(opened: OpenSite, stacks: dict[StackName, RenderedStack]) -> RolloutPlan:
    """One look per host. Nothing is touched when all plans are empty.

    Raises BadInput for a host that is too small for what is wanted of it.
    """
    planned: dict[StackName, StackPlan] = {}
    mesh, upgrade = None, None
    gone: dict[str, tuple[StackPlan, ...]] = {}
    room: list[Admission] = []
    images: dict[str, str] = {}
    for host in hosts_of(stacks):
        here = {name: stack for name, stack in stacks.items() if stack.host == host}
        seen = steps.observe_stacks(opened, host, query(opened.site, host, here))
        wanted = images_of(opened, here, host, seen)
        here_planned = plans(here, wanted.ids, wanted.pinned, seen)
        planned |= here_planned
        images |= {key_of(name, wanted.architecture): wanted.ids[name] for name in wanted.ids}
        sizes = recorded_sizes(opened.settings, opened.site.name)
        every = stacks_on(opened.settings, opened.site, host)
        room.append(admit(every, here_planned, seen, sizes))
        if stacks.keys() == opened.site.stacks.named.keys():
            gone[host] = retired(opened.site, host, seen)
        if "headscale" in here:
            mesh = mesh_plan(opened.settings, opened.site, seen)
            upgrade = upgrade_of(opened.settings, opened.site, here, seen)
    require_room(room)
    return RolloutPlan(
        stacks=planned,
        images=images,
        mesh=mesh,
        upgrade=upgrade,
        retired=gone,
        room=tuple(room),
    )


class Images(NamedTuple):
    """By name: the ids for a host's processor, and those of when they were last rolled out."""

    ids: dict[str, str]
    pinned: dict[str, str]
    architecture: Architecture


def images_of(
    opened: OpenSite, here: dict[StackName, RenderedStack], host: str, seen: Observation
) -> Images:
    """They are ready on this machine then."""
    names = tuple(sorted({image for stack in here.values() for image in stack.images}))
    architecture = architecture_of(seen.host.machine.architecture, host)
    ids = steps.have_images(opened, names, architecture)
    pinned = recorded_ids(opened.settings, opened.site.name, names, architecture)
    return Images(ids, pinned, architecture)


def hosts_of(stacks: dict[StackName, RenderedStack]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stack.host for stack in stacks.values()))


def bring(opened: OpenSite, stack: RenderedStack, plan: StackPlan, progress: Progress) -> None:
    """One stack to its wanted state; it counts as touched from the first file on.

    The gate is asked also where nothing differs: what is in order must serve, too.
    """
    if not plan.empty:
        progress.touched.append(stack)
        progress.applied.append(steps.write_files(opened, stack, plan))
        progress.applied.append(steps.start(opened, stack, plan))
    progress.checks += steps.gate_on_host(opened, stack)


def take_down_retired(opened: OpenSite, planned: RolloutPlan, progress: Progress) -> None:
    """After the gates: what goes has been unrouted by then, and nothing has to come back any more."""
    for host, gone in planned.retired.items():
        for plan in gone:
            progress.applied += steps.take_down(opened, host, plan)


def all_back(opened: OpenSite, progress: Progress) -> Back:
    """Put what was touched back, last first."""
    back = Back()
    for stack in reversed(progress.touched):
        try:
            put_back = steps.put_back(opened, stack)
        except Exception as error:  # noqa: BLE001 - the others are put back all the same
            back.problems.append(
                f"{stack.name} could not be put back: {error} The next rollout finds and ends what is unfinished."
            )
        else:
            back.lost += lost_since(stack, put_back)
            if put_back.diff:
                progress.diffs[stack.name] = put_back.diff
    return back


def lost_since(stack: RenderedStack, put_back: PutBack) -> list[str]:
    if put_back.data_of is None:
        return []
    return [
        f"The data of {stack.name} are back as well, as of {put_back.data_of}: what came after that "
        "moment is lost, so a device that joined in between has to log in again."
    ]


def told(error: Exception, done: Back) -> tuple[str, str]:
    """Message and hint of a rollout that failed."""
    whole = [] if done.problems else ["Files and images are back as they were before."]
    back = "\n".join([*done.problems, *whole, *done.lost])
    if isinstance(error, MeshkeeperError):
        return f"{error.message}\n{back}", error.hint
    log.error("The rollout broke", exc_info=error)
    return f"The rollout itself broke ({type(error).__name__}); its log tells where.\n{back}", ""


def report_of(opened: OpenSite, planned: RolloutPlan, progress: Progress) -> RolloutReport:
    """What was planned, approved and done so far."""
    return RolloutReport(
        site=opened.site.name,
        plan=planned,
        approval=progress.approval,
        applied=tuple(progress.applied),
        checks=tuple(progress.checks),
    )


def tell_failure(
    opened: OpenSite, planned: RolloutPlan, progress: Progress, failed: MeshkeeperError
) -> None:
    """The report of a rollout that failed: the plan, who approved it, what was done, the reason."""
    report = report_of(opened, planned, progress)
    report = report.model_copy(update={"failure": str(failed), "diffs": progress.diffs})
    publish_report("rollout", markdown(report), report)


def complete(
    opened: OpenSite,
    stacks: dict[StackName, RenderedStack],
    planned: RolloutPlan,
    progress: Progress,
) -> RolloutReport:
    """Users, the pinned identity and the canary, which all need a server that serves."""
    report = report_of(opened, planned, progress)
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
