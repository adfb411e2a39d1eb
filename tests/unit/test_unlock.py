"""`meshkeeper unlock`: shows, asks, removes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployments.cli import unlock
from deployments.cli.main import main
from infra.host import lock
from infra.model.lock import Claim
from tests.unit.lock_host import LocalSession, lock_in

EXAMPLE = Path(unlock.__file__).with_name("site.example.yaml")


@pytest.fixture(autouse=True)
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def way_in(_: Any) -> Iterator[Any]:
        yield LocalSession()

    lock_in(tmp_path / "lock", monkeypatch)
    monkeypatch.setattr(unlock, "way_in", way_in)
    monkeypatch.setenv("MESHKEEPER_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def claim() -> Claim:
    claim = lock.new_claim("provision vps", "quick-fox", 60)
    lock.take(LocalSession(), claim)  # type: ignore[arg-type]
    return claim


def unlocked(*arguments: str) -> int:
    return main(["unlock", "--site", str(EXAMPLE), *arguments])


def holder_token() -> str | None:
    return lock.shown(LocalSession()).token  # type: ignore[arg-type]


def test_without_a_lock_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert unlocked() == 0
    assert capsys.readouterr().out == "No run holds the lock of vps.\n"


@pytest.mark.parametrize(("said", "gone"), [("y", True), ("Yes", True), ("", False), ("n", False)])
def test_a_person_is_told_who_holds_it_and_what_it_means_and_only_a_yes_counts(
    monkeypatch: pytest.MonkeyPatch, claim: Claim, said: str, gone: bool
) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return said

    monkeypatch.setattr("builtins.input", answer)
    assert unlocked() == (0 if gone else 2)
    assert str(claim.holder) in asked[0]
    assert "loses its right to change the host" in asked[0]
    assert (holder_token() is None) == gone


def test_a_program_is_not_asked_and_has_to_say_yes(
    claim: Claim, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unlocked("--json") == 2
    assert json.loads(capsys.readouterr().out)["hint"] == "Answer y, or say --yes."
    assert holder_token() == claim.token
    assert unlocked("--json", "--yes") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["removed"], answer["holder"]["run"]) == (True, "quick-fox")
    assert claim.token not in json.dumps(answer)
    assert holder_token() is None


def test_the_lock_of_who_came_meanwhile_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, claim: Claim, capsys: pytest.CaptureFixture[str]
) -> None:
    """The yes was about another."""
    other = lock.new_claim("rollout", "late-owl", 60)

    def answer(_: str) -> str:
        lock.release(LocalSession(), claim.token)  # type: ignore[arg-type]
        lock.take(LocalSession(), other)  # type: ignore[arg-type]
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    assert unlocked() == 0
    assert "Nothing was removed" in capsys.readouterr().out
    assert holder_token() == other.token
