"""A rollout waits for a yes: in the browser, at a terminal, and through what may end its process."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from deployments.embedded.api import FINAL, Api, Json
from deployments.embedded.processes import carrying
from infra.model.approval import SHORT
from infra.planning.approval import question
from infra.settings import CONTROL_PLANE_MARK
from tests.browser.approval import answer_yes, open_question
from tests.browser.approving import PLAN, ROOT, asking_in
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def plane(site_of_a_dead_host: Any) -> Iterator[Any]:
    """A control plane whose worker finds the flow of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        code, answer = site_of_a_dead_host.call("up")
        assert code == 0, answer
        yield site_of_a_dead_host
        site_of_a_dead_host.call("down")


@pytest.fixture
def api(plane: Any) -> Iterator[Api]:
    plane.call("up")
    with asking_in(plane.url) as found:
        yield found


def asked(api: Api) -> Json:
    """A run that waits."""
    deployment = api.deployment("rollout/rollout")
    assert deployment
    run = api.start_run(deployment["id"], {"site": "cronova.dev"})
    wait_for(lambda: api.run(run["id"])["state_type"] == "PAUSED")
    return api.run(run["id"])


def ended(api: Api, run: Json) -> Json:
    wait_for(lambda: api.run(run["id"])["state_type"] in FINAL)
    state: Json = api.run(run["id"])["state"]
    return state


def test_the_approver_sees_the_plan_in_the_browser_and_says_yes(
    plane: Any, api: Api, page: Page
) -> None:
    run = asked(api)
    dialog = open_question(page, plane.url, run["id"])
    for line in filter(None, question(PLAN, again=False).splitlines()):
        expect(dialog.get_by_text(line.strip()).first).to_be_visible()
    answer_yes(dialog, "Ada")
    assert ended(api, run)["type"] == "COMPLETED"
    report = json.loads(api.artifacts(run["id"])[-1]["data"])
    assert (report["approval"]["by"], report["approval"]["plan"]) == ("Ada", PLAN.digest)


def at_terminal(plane: Any, typed: bytes) -> tuple[int, str]:
    """The exit code of a rollout at a terminal where this is typed, and all that stood there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments.cli.main", "rollout", "--site", str(plane.site)],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 10_000)
    os.write(ours, typed)
    while part := _read(ours):
        shown += part
    os.close(ours)
    return process.wait(timeout=60), shown.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 10_000)
    except OSError:  # the other side is closed
        return b""


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"\n", 2)])
def test_at_a_terminal_the_same_question_is_asked(
    plane: Any, api: Api, typed: bytes, code: int
) -> None:
    found, shown = at_terminal(plane, typed)
    assert (found, PLAN.digest[:SHORT] in shown) == (code, True)
    assert api.waiting() == []


def test_status_tells_what_waits_and_down_ends_it(plane: Any, api: Api) -> None:
    run = asked(api)
    _, status = plane.call("status")
    assert [waiting["url"] for waiting in status["waiting"]] == [
        f"{plane.url}/runs/flow-run/{run['id']}"
    ]
    assert plane.call("down")[0] == 0
    assert carrying(CONTROL_PLANE_MARK, str(plane.state)) == []
    assert plane.call("up")[0] == 0
    state = api.run(run["id"])["state"]
    assert (state["type"], state["name"]) == ("CANCELLED", "NotApproved")


def test_a_waiting_run_whose_process_died_waits_no_longer(plane: Any, api: Api) -> None:
    before = set(carrying(CONTROL_PLANE_MARK, str(plane.state)))
    run = asked(api)
    for pid in set(carrying(CONTROL_PLANE_MARK, str(plane.state))) - before:
        os.kill(pid, signal.SIGKILL)
    assert ended(api, run)["type"] == "CRASHED"
