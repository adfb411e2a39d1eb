"""Real runs that die of SIGKILL at a chosen moment, as when their machine loses power."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.integration.hosts import LEASE

#: Runs are forked from one process that has read the flows, and Prefect with them: 3 s each otherwise.
RUNS = multiprocessing.get_context("forkserver")
RUNS.set_forkserver_preload(["flows.provision", "flows.rollout"])
#: Seconds in which the host takes a change back; the real ones would make the tests wait.
REVERT = 20
#: The host has armed its revert · the change is made and not confirmed · an item is done, the next
#: not begun. Only guarded items have the first two; in others a run dies of the third.
MOMENTS = ("armed", "changed", "done")


def provision(target: Any, moment: str = "never") -> int:
    """Run the flow on the target's host, in a process of its own; its exit code (-9: killed)."""
    return _ended(_provision, target, moment)


def rollout(site_file: Path, log: Path, dies_after: int = 0) -> int:
    """Run the flow on a site, in a process of its own; its exit code (-9: killed).

    Its steps stand in `log`, a line each, as they end. It dies after the one with that number.
    """
    log.write_text("")
    return _ended(_roll_out, site_file, log, dies_after)


def _ended(run: Callable[..., None], *arguments: Any) -> int:
    """Of a killed one the lease is waited for, or the next could not begin."""
    process = RUNS.Process(target=run, args=arguments)
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


def _provision(target: Any, moment: str) -> None:
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


def _roll_out(site_file: Path, log: Path, dies_after: int) -> None:
    succeeded(roll_out_here(site_file, Steps(log, dies_after)))


def roll_out_here(site_file: Path, counted: "Steps | None" = None, patch: Any = setattr) -> Any:
    """The flow's own function, its tasks without Prefect; its report, or the state of a failed run."""
    from flows import rollout as flow
    from infra.model.request import RolloutRequest
    from infra.settings import load_settings
    from infra.site_file import load_site
    from tasks import lock
    from tasks.site import OpenSite

    settings = load_settings(site_file).model_copy(update={"lease_seconds": LEASE})
    site = load_site(settings.site)
    patch(flow, "open_site", lambda _: OpenSite(site, settings))
    patch(flow, "publish_report", lambda *_: None)
    patch(lock, "take_lock", getattr(lock.take_lock, "fn", lock.take_lock))
    patch(flow, "steps", counted or Steps())
    return flow.rollout.fn(RolloutRequest(site=site.name, approve="any"))


def succeeded(ended: Any) -> Any:
    """The report of a rollout that must go well; the state of a failed one tells why it did not."""
    from infra.model.stack import RolloutReport

    assert isinstance(ended, RolloutReport), ended
    return ended


class Steps:
    """The steps of the flow, noted in `log` as they end; the process dies after one of them.

    `before` is told each by its name when its turn has come.
    """

    def __init__(
        self,
        log: Path | None = None,
        dies_after: int = 0,
        before: Callable[[str], object] = lambda _: None,
    ) -> None:
        from tasks import rollout

        self._steps, self._log, self._left, self._before = rollout, log, dies_after, before

    def __getattr__(self, name: str) -> Callable[..., Any]:
        step = getattr(self._steps, name).fn

        def run(*arguments: Any) -> Any:
            self._before(name)
            answer = step(*arguments)
            if self._log:
                with self._log.open("a") as log:
                    log.write(f"{name}\n")
            self._left -= 1
            if self._left == 0:
                _die()
            return answer

        return run


def just_before(step: str, act: Callable[[], object]) -> Steps:
    """The flow's steps, with what happens before the first of that name."""
    left = [act]

    def asked(name: str) -> None:
        if name == step and left:
            left.pop()()

    return Steps(before=asked)


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_after_arming(guard: Any) -> Any:
    def run(session: Any, item: str, command: str) -> None:
        guard(session, item, command)
        if command.startswith("arm "):
            _die()

    return run
