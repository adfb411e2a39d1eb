"""What the control machine asks a host of its releases, and what it makes of the answer."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.access.bundle import joined
from infra.errors import StepFailed
from infra.model.site import Site
from infra.model.stack import RenderedStack
from infra.rollout import files
from infra.rollout.render import render_stacks
from tests.unit.releasing import Host, host_program, new_host, on_a_host
from tests.unit.test_stack_plan import SITE


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return new_host(tmp_path, monkeypatch)


class Here:
    """A session whose host is this machine, with a folder of its own for releases."""

    login = SimpleNamespace(name="vps")

    def __init__(self, home: Path) -> None:
        self._home = home

    def as_root(self, command: str) -> str:
        return command

    def check(self, _step: str, _command: str, *, stdin: bytes, **_: Any) -> bytes:
        program = stdin.replace(b"/var/lib/meshkeeper/releases", bytes(self._home))
        return subprocess.run(
            [sys.executable, "-I", "-"], input=program, stdout=subprocess.PIPE, check=True
        ).stdout


class Liar(Here):
    """A host that answers what it likes."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def check(self, *_: Any, **__: Any) -> bytes:
        return json.dumps(self._answer).encode()


def stack(site: Site = SITE) -> RenderedStack:
    return render_stacks(site)["headscale"]


def test_the_releases_are_told_with_what_can_be_gone_back_to(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:b")
    there = files.releases(Here(host_program.HOME), stack())  # type: ignore[arg-type]
    first, second = there.releases
    assert (there.current, there.unfinished) == (second.id, False)
    assert (first.before, second.before and second.before.id) == (None, "20261127T093001Z")
    assert first.images == {"headscale:1": "sha256:a"}
    assert first.containers == {"headscale": "headscale:1"}
    assert list(first.files) == ["compose.yml"]
    assert second.size > (host_program.HOME / "headscale" / second.id / "before.tar").stat().st_size
    assert there.free > 0


def test_a_rollout_that_was_cut_off_is_told(host: Host) -> None:
    looks = on_a_host(files.LOOKS)
    looks.HOME = host_program.HOME
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:a", passes=False)
    asked = {"stack": "headscale", "directory": str(host.stack), "server": "headscale"}
    told = looks.releases(asked)
    assert told["unfinished"]
    assert told["current"] == host.releases[0].name
    assert told["data_size"] == sum(path.stat().st_size for path in host.data.iterdir())


def test_a_host_without_any_release_tells_so(tmp_path: Path) -> None:
    there = files.releases(Here(tmp_path / "none"), stack())  # type: ignore[arg-type]
    assert (there.current, there.releases, there.unfinished) == (None, (), False)


def test_an_answer_that_makes_no_sense_is_refused() -> None:
    lie = {"current": "../../etc", "unfinished": False, "releases": [], "free": -1}
    with pytest.raises(StepFailed, match="makes no sense"):
        files.releases(Liar(lie), stack())  # type: ignore[arg-type]


def test_a_put_back_is_told_by_the_program_that_is_sent(tmp_path: Path) -> None:
    told = files.restore(Here(tmp_path / "releases"), stack())  # type: ignore[arg-type]
    assert (told.back, told.data_of, told.diff) == (False, None, "")


def test_a_diff_without_end_and_with_what_a_terminal_acts_on_is_made_fit() -> None:
    lie = {"back": True, "data_of": None, "diff": "+\x1b[2J\n" * 100_000}
    told = files.restore(Liar(lie), stack())  # type: ignore[arg-type]
    assert told.diff.splitlines() == ["+?[2J"] * files.DIFF_LINES + ["…"]


def test_one_that_was_made_and_not_begun_is_none_to_go_back_to(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollout was killed before it changed anything, and the next discards it."""
    host.roll_out("one", "sha256:a")
    replace = host_program.replace

    def killed_at_the_mark(path: Path, *words: Any) -> None:
        if path.name == host_program.PENDING:
            raise KeyboardInterrupt
        replace(path, *words)

    with monkeypatch.context() as killing:
        killing.setattr(host_program, "replace", killed_at_the_mark)
        with pytest.raises(KeyboardInterrupt):
            host.ask("prepare", "two")
    assert len(host.releases) == 2
    looked = on_a_host(files.LOOKS)
    monkeypatch.setattr(looked, "HOME", host_program.HOME)
    request = {"stack": "headscale", "directory": str(host.stack), "server": ""}
    told = looked.releases(request)
    assert [release["id"] for release in told["releases"]] == [told["current"]]


def test_changes_that_wait_for_what_a_cut_run_left_at_work_all_come_to_their_end(
    tmp_path: Path,
) -> None:
    """Each holds the host's lock as its shell does, and waits for the one and for each other."""
    changing, home, directory = (tmp_path / name for name in ("changing", "releases", "stack"))
    changing.touch()
    directory.mkdir()
    request = {"step": "drop", "stack": "headscale", "directory": str(directory)}
    program = f"{joined(files.PACKAGE, files.CHANGES)}\n\nmain({request!r})\n"
    text = program.replace("/var/lib/meshkeeper/releases", str(home)).encode()
    shell = f"exec 9<{changing}; flock -s 9; exec {sys.executable} -I -"
    left = subprocess.Popen(["flock", "--shared", changing, "sleep", "1.5"])
    changes = []
    for _ in range(2):
        change = subprocess.Popen(
            ["sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert change.stdin
        change.stdin.write(text)
        change.stdin.close()
        changes.append(change)
        time.sleep(0.4)
    assert left.poll() is None
    try:
        assert [change.wait(10) for change in changes] == [0, 0]
    finally:
        for change in changes:
            change.kill()
            change.stdout.close()  # type: ignore[union-attr]
            change.wait()
        left.wait()
