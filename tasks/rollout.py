"""The steps of a rollout, one row in the UI each."""

import time

from infra.access.anchor import load_anchor
from infra.errors import GateFailed, ImageUnavailable, StepFailed
from infra.host.observe import observe
from infra.images import newest
from infra.images.catalog import CATALOG
from infra.images.platforms import Architecture
from infra.images.ready import ready_images
from infra.mesh.canary import enrol_canary
from infra.mesh.users import create_missing_users
from infra.model.anchor import Anchor, Canary
from infra.model.observation import Observation, ObserveRequest
from infra.model.stack import Applied, Check, PutBack, RenderedStack, StackPlan, TakeDown
from infra.planning.upgrade import REPOSITORY, newest_patch
from infra.rollout import apply, compose, files
from infra.rollout.identity import announce_policy, pin, require_pinned
from infra.rollout.local_gate import gate_locally, server_key
from infra.rollout.outlook import front, wanted_stacks, with_needed
from infra.rollout.outside_gate import gate_from_outside
from infra.rollout.pins import record_sizes, record_unknown_ids, recorded_sizes
from infra.rollout.secret_files import masked
from infra.rollout.watch import Watch
from infra.rollout.watch import watch as watch_on_host
from tasks.definition import retried_step, step
from tasks.site import OpenSite, session_of


@step(name="have the images", task_run_name="have the images ready on this machine")
def have_images(
    opened: OpenSite, names: tuple[str, ...], architecture: Architecture
) -> dict[str, str]:
    """Their configurations' digests by name, as the host's engine calls them."""
    ready = ready_images(names, architecture)
    ids = {name: image.image_id for name, image in ready.items()}
    record_unknown_ids(opened.settings, opened.site.name, ids, architecture)
    sizes = {name: image.size for name, image in ready.items()}
    record_sizes(opened.settings, opened.site.name, sizes)
    return ids


@step(name="find a version", task_run_name="find the newest patch of headscale {minor}")
def find_patch(minor: str) -> str:
    """Of those that meshkeeper can build, else by an index. Raises ImageUnavailable."""
    try:
        return newest_patch(minor, CATALOG) or newest.newest_patch(REPOSITORY, minor)
    except ImageUnavailable as error:
        raise ImageUnavailable(
            f"Which patch of headscale {minor} is the newest, nobody can tell: "
            f"{error.message.rstrip('.')}.",
            f"Nothing was touched. Write the newest {minor}.x at stacks.headscale.version and roll it "
            "out, then write the version that you want.",
        ) from error


@retried_step(name="observe", task_run_name="observe {host}")
def observe_stacks(opened: OpenSite, host: str, request: ObserveRequest) -> Observation:
    with session_of(opened, host) as session:
        return observe(session, request)


@retried_step(name="have room", task_run_name="look for room for {stack.name} on {stack.host}")
def have_room(opened: OpenSite, stack: RenderedStack, plan: StackPlan) -> None:
    sizes = recorded_sizes(opened.settings, opened.site.name)
    with session_of(opened, stack.host) as session:
        apply.have_room(session, stack, plan, sizes)


@retried_step(name="send images", task_run_name="send images of {stack.name} to {stack.host}")
def send_images(opened: OpenSite, stack: RenderedStack, plan: StackPlan) -> Applied:
    began = time.monotonic()
    with session_of(opened, stack.host) as session:
        apply.send_images(session, plan)
    return _applied(stack, "images", plan, began)


@retried_step(name="write files", task_run_name="write files of {stack.name} on {stack.host}")
def write_files(opened: OpenSite, stack: RenderedStack, plan: StackPlan) -> Applied:
    began = time.monotonic()
    if stack.name == "headscale":
        announce_policy(opened.settings, opened.site, stack)
    with session_of(opened, stack.host) as session:
        apply.write(session, stack, plan)
    return _applied(stack, "files", plan, began)


@step(name="start", task_run_name="start {stack.name} on {stack.host}")
def start(opened: OpenSite, stack: RenderedStack, plan: StackPlan) -> Applied:
    began = time.monotonic()
    with session_of(opened, stack.host) as session:
        try:
            apply.start(session, stack, plan)
        except StepFailed as error:
            reason = apply.why(session, stack.name, error, stack.secrets.values())
            raise GateFailed(reason) from None  # the other's text is not masked
    return _applied(stack, "containers", plan, began)


@step(name="gate", task_run_name="ask {stack.name} on {stack.host} itself")
def gate_on_host(opened: OpenSite, stack: RenderedStack) -> tuple[Check, ...]:
    with session_of(opened, stack.host) as session:
        try:
            return gate_locally(session, stack)
        except (GateFailed, StepFailed) as error:
            reason = apply.why(session, stack.name, error, stack.secrets.values())
            raise GateFailed(reason) from None  # the other's text is not masked


@step(name="watch", task_run_name="watch what was started on {wanted.host}")
def watch(opened: OpenSite, wanted: Watch) -> Check:
    with session_of(opened, wanted.host) as session:
        return watch_on_host(session, wanted)


@step(name="gate from outside", task_run_name="ask {opened.site.name} from outside")
def gate_outside(opened: OpenSite, names: tuple[str, ...]) -> tuple[Check, ...]:
    """Also for the stacks that these need. The server must also be the one that is pinned."""
    stacks = wanted_stacks(opened.settings, opened.site, with_needed(opened.site, names)).values()
    host = opened.site.stacks.headscale.host
    with session_of(opened, host) as session:
        key = ""
        if any("server_key" in stack.gate.outside_checks for stack in stacks):
            key = server_key(session)
            require_pinned(load_anchor(opened.settings, opened.site.name), key)
        try:
            return gate_from_outside(opened.site, stacks, key)
        except GateFailed as error:
            hidden = [secret for stack in stacks for secret in stack.secrets.values()]
            reason = apply.why(session, front(opened.site), error, hidden)
            raise GateFailed(reason, error.hint) from None


@retried_step(name="take down", task_run_name="take down {plan.target}")
def take_down(opened: OpenSite, host: str, plan: StackPlan) -> list[Applied]:
    began, done = time.monotonic(), []
    with session_of(opened, host) as session:
        for change in plan.changes:
            if isinstance(change, TakeDown):
                compose.take_down_project(session, change.project)
                seconds = round(time.monotonic() - began, 2)
                done.append(Applied(item=change.item, summary=change.summary, seconds=seconds))
    return done


@step(name="put back", task_run_name="put {stack.name} on {stack.host} back")
def put_back(opened: OpenSite, stack: RenderedStack) -> PutBack:
    try:
        with session_of(opened, stack.host) as session:
            return apply.put_back(session, stack)
    except (GateFailed, StepFailed) as error:
        told = masked(error.message, stack.secrets.values())
        raise type(error)(told, error.hint) from None


@retried_step(name="finish", task_run_name="commit {stack.name} on {stack.host}")
def finish(opened: OpenSite, stack: RenderedStack) -> None:
    with session_of(opened, stack.host) as session:
        files.commit(session, stack)


@retried_step(name="users", task_run_name="create users on {host}")
def create_users(opened: OpenSite, host: str, names: tuple[str, ...]) -> tuple[str, ...]:
    with session_of(opened, host) as session:
        return create_missing_users(session, names)


@step(name="pin the identity", task_run_name="pin the identity of {headscale.name} in the anchor")
def pin_identity(opened: OpenSite, headscale: RenderedStack) -> Anchor:
    with session_of(opened, headscale.host) as session:
        return pin(opened.settings, opened.site, server_key(session), headscale)


@step(name="enrol the canary", task_run_name="enrol the canary of {opened.site.name}")
def enrol(opened: OpenSite, host: str) -> Canary:
    with session_of(opened, host) as session:
        return enrol_canary(opened.site, opened.settings, session)


def _applied(stack: RenderedStack, what: str, plan: StackPlan, began: float) -> Applied:
    item = f"{stack.name}.{what}"
    kinds = {"images": "ship", "files": "write"}
    mine = [c for c in plan.changes if c.kind == kinds.get(what, c.kind)]
    if what == "containers":
        mine = [c for c in plan.changes if c.kind in {"start", "reload"}]
    summary = "; ".join(change.summary for change in mine) or "nothing to do"
    return Applied(item=item, summary=summary, seconds=round(time.monotonic() - began, 2))
