"""The steps of going back to a release, one row in the UI each; gates and the way back are a rollout's."""

from infra.errors import GateFailed, StepFailed
from infra.model.release import BringRelease, ReplaceData, RollbackOutlook
from infra.model.request import RollbackRequest
from infra.model.stack import RenderedStack
from infra.rollout import apply, files
from infra.rollout.identity import announce_known_policy, confirm_known_policy
from infra.rollout.rollback import outlook
from tasks.definition import retried_step, step
from tasks.site import OpenSite, session_of


@retried_step(name="look", task_run_name="look for release {wanted.release} on {stack.host}")
def look(opened: OpenSite, stack: RenderedStack, wanted: RollbackRequest) -> RollbackOutlook:
    with session_of(opened, stack.host) as session:
        return outlook(session, stack, wanted)


@retried_step(name="announce", task_run_name="announce the policy of {opened.site.name}")
def announce(opened: OpenSite, policy: str) -> None:
    """Before anything is touched: a policy that was never ours stops it."""
    announce_known_policy(opened.settings, opened.site, policy)


@retried_step(
    name="bring the release", task_run_name="bring release {change.release} of {stack.name}"
)
def bring(opened: OpenSite, stack: RenderedStack, change: BringRelease) -> None:
    with session_of(opened, stack.host) as session:
        files.bring(session, stack, change)


@retried_step(name="replace data", task_run_name="replace the data of {stack.name}")
def replace_data(opened: OpenSite, stack: RenderedStack, change: ReplaceData) -> None:
    with session_of(opened, stack.host) as session:
        files.replace_data(session, stack, change)


@step(name="start", task_run_name="start {stack.name} on {stack.host}")
def start(opened: OpenSite, stack: RenderedStack) -> None:
    with session_of(opened, stack.host) as session:
        try:
            apply.start_anew(session, stack)
        except StepFailed as error:
            raise GateFailed(
                apply.why(session, stack.name, error, stack.secrets.values())
            ) from error


@retried_step(name="confirm", task_run_name="confirm the policy of {opened.site.name}")
def confirm(opened: OpenSite, policy: str) -> None:
    confirm_known_policy(opened.settings, opened.site, policy)
