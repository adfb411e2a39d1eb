"""The person at the terminal, who is asked for a yes; nobody is asked where nobody would see it."""

import getpass
import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deployments.cli.approve import answer_run
from deployments.cli.main import main
from deployments.embedded.recovery import end_dead_runs
from infra.model.approval import Approval
from infra.model.stack import RolloutPlan, RolloutReport, StackPlan, StartStack
from infra.planning.approval import question
from infra.rollout.report import markdown

START = StartStack(
    item="caddy.containers",
    summary="start caddy: it is ``` missing\x1b[2J",
    interrupts="Open connections break once.",
    containers=("caddy",),
)
PLAN = RolloutPlan(stacks={"caddy": StackPlan(target="vps.caddy", changes=(START,))})
#: Makes its standard input the terminal whose Ctrl-C it gets, and asks.
ASK = (
    "import fcntl, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    # Who runs the tests in the background may have it ignored.
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from deployments.cli.approve import ask;"
    "print(ask(sys.argv[1], 'abc').model_dump_json())"
)


def said(typed: bytes) -> tuple[dict[str, str], str]:
    """The answer to a question at a terminal where this is typed, and what stood there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ASK, question(PLAN, again=False)],
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 1000)
    # Again where nobody heard it: Ctrl-C just before the reading begins is lost, as for a person.
    while process.poll() is None:
        os.write(ours, typed)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
    out, _ = process.communicate()
    os.close(ours)
    return json.loads(out), shown.decode()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (b"y\n", "yes"),
        (b"Yes\n", "yes"),
        (b"\n", "no"),
        (b"n\n", "no"),
        (b"yeah\n", "no"),
        (b"\x04", "no"),
        (b"\x03", "no"),
    ],
)
def test_only_a_yes_is_a_yes(typed: bytes, answer: str) -> None:
    found, _ = said(typed)
    assert found == {"answer": answer, "name": getpass.getuser(), "plan": "abc"}


def test_the_terminal_shows_the_plan_and_nothing_acts_on_it() -> None:
    _, shown = said(b"y\n")
    assert "start caddy: it is ``` missing?[2J" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) < 80
    assert "Open connections break once." in shown
    assert PLAN.digest[:12] in shown
    assert "\x1b" not in shown


def test_in_markdown_every_line_of_the_plan_is_code() -> None:
    before, _, after = question(PLAN, again=True).partition("\n\n")
    assert "no longer fits" in before
    plan, _, name = after.rpartition("\n\n")
    assert all(line.startswith("    ") for line in plan.splitlines())
    assert name == f"Plan {PLAN.digest[:12]}."


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "state"))
    assert main(["init", "--site", str(tmp_path / "site.yaml")]) == 0
    return str(tmp_path / "site.yaml")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_without_a_terminal_a_rollout_wants_to_be_told_yes_and_starts_nothing(
    options: list[str],
    site: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started: list[Any] = []
    monkeypatch.setattr("deployments.embedded.control_plane.answers", started.append)
    assert main(["rollout", "--site", site, *options]) == 2
    told = capsys.readouterr()
    assert "Add --yes: it goes without asking." in told.out + told.err
    assert started == []


class Books:
    """A server with one run that waits, and what it was told."""

    def __init__(self, *, still_waits: bool = True) -> None:
        self.told: list[Any] = []
        self._still_waits = still_waits

    def question(self, _run: Any) -> tuple[str, Any]:
        return "The plan.", {"properties": {"plan": {"const": "abc"}}}

    def resume(self, run_id: str, answer: Any) -> bool:
        self.told.append((run_id, answer))
        return self._still_waits

    def waiting(self) -> list[Any]:
        return [{"id": "1"}]

    def set_state(self, run_id: str, state: Any) -> None:
        self.told.append((run_id, state["type"], state["name"]))

    def runs(self, **_: Any) -> list[Any]:
        return []

    def deployments(self) -> list[Any]:
        return []


@pytest.mark.parametrize("still_waits", [True, False])
def test_the_run_gets_the_answer_unless_another_was_faster(
    still_waits: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    books = Books(still_waits=still_waits)
    monkeypatch.setattr("sys.stdin.readline", lambda: "y\n")
    answer_run(books, {"id": "1"})  # type: ignore[arg-type]
    answer = {"answer": "yes", "name": getpass.getuser(), "plan": "abc"}
    assert books.told == [("1", answer)]
    assert ("answered elsewhere" in capsys.readouterr().err) is not still_waits


def test_a_run_that_waited_when_all_was_stopped_ends_as_not_approved() -> None:
    books = Books()
    end_dead_runs(books)  # type: ignore[arg-type]
    assert books.told == [("1", "CANCELLED", "NotApproved")]


def test_the_report_says_who_approved_which_plan_and_when() -> None:
    yes = Approval(by="Ada | <b>", at="2026-11-27T10:00:00Z", plan=PLAN.digest)  # type: ignore[arg-type]
    told = markdown(RolloutReport(site="cronova.dev", plan=PLAN, approval=yes))
    assert f"on 2026-11-27 at 10:00 UTC: plan {PLAN.digest[:12]}." in told
    assert "Ada &#124; &#60;b&#62;" in told
