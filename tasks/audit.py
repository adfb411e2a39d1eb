"""The steps of an audit, two rows in the UI for each host."""

from infra.audit.look import inside, outside
from infra.host.provision import Target
from infra.model.observation import Observation
from tasks.definition import retried_step


@retried_step(name="look", task_run_name="look at {target.host}")
def look_inside(target: Target) -> Observation:
    return inside(target)


@retried_step(name="look from outside", task_run_name="look at {target.host} from outside")
def look_from_outside(target: Target, seen: Observation | None) -> frozenset[int]:
    return outside(target, seen)
