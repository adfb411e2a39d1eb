"""A real provision that dies of SIGKILL at a chosen moment, as when its machine loses power."""

import multiprocessing
import os
import signal
import time
from functools import partial
from typing import Any

from tests.integration.hosts import LEASE

#: Seconds in which the host takes a change back; the real ones would make the tests wait.
REVERT = 20
#: The host has armed its revert · the change is made and not confirmed · an item is done, the next
#: not begun. Only guarded items have the first two; in others a run dies of the third.
MOMENTS = ("armed", "changed", "done")


def provision(target: Any, moment: str = "never") -> int:
    """Run the flow on the target's host, in a process of its own; its exit code (-9: killed).

    Of a killed one the lease is waited for, or the next could not begin.
    """
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(target, moment))
    process.start()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        time.sleep(LEASE)
    return process.exitcode or 0


def revert_soon(patch: Any = setattr) -> None:
    """Let changes of this process be taken back after REVERT seconds."""
    from infra.host import apply
    from infra.host.guard import guarded

    patch(apply, "guarded", partial(guarded, seconds=REVERT))
    patch(apply, "GUARDED_LONGEST", REVERT - 5)


def _run(target: Any, moment: str) -> None:
    """The flow's own function, its tasks without Prefect."""
    from flows import provision as flow
    from infra.host import guard
    from infra.model.request import ProvisionRequest
    from tasks import lock
    from tasks.site import OpenSite

    for name in ("pin", "observe_host", "change_host", "prove_in_order"):
        setattr(flow, name, getattr(flow, name).fn)
    lock.take_lock = lock.take_lock.fn
    flow.open_site = lambda _: OpenSite(target.site, target.settings)
    flow.publish_report = lambda *_: None
    revert_soon()
    if moment != "never":
        flow.after = _die
    if moment == "armed":
        guard._guard = _dying_after_arming(guard._guard)
    if moment == "changed":
        guard._confirm = _die
    ended = flow.provision.fn(ProvisionRequest(site=target.site.name, host=target.host))
    ended.changes  # noqa: B018 - a report has them, the state of a failed run has not


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_after_arming(guard: Any) -> Any:
    def run(session: Any, item: str, command: str) -> None:
        guard(session, item, command)
        if command.startswith("arm "):
            _die()

    return run
