"""What a rollout keeps on the host, and puts back."""

from pathlib import Path
from typing import Any

import pytest

from infra.rollout import host_program

FILE = "docker-compose.yml"


@pytest.fixture
def request_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(host_program, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(host_program.os, "chown", lambda *_: None)  # on a host it is root
    stack = tmp_path / "stack"

    def request(content: str = "") -> dict[str, Any]:
        return {
            "stack": "caddy",
            "directory": str(stack),
            "admin": "root",
            "folders": {str(stack): 0o755},
            "paths": [FILE],
            "images": [],
            "files": {FILE: content},
        }

    return request


def roll_out(request: dict[str, Any]) -> None:
    host_program.keep(request)
    host_program.write(request)


def test_a_red_rollout_comes_back_to_the_one_before(request_of: Any, tmp_path: Path) -> None:
    roll_out(request_of("one"))
    host_program.finish(request_of())
    roll_out(request_of("two"))
    assert host_program.restore(request_of())
    assert (tmp_path / "stack" / FILE).read_text() == "one"


def test_a_rollout_that_could_keep_nothing_goes_back_no_further(
    request_of: Any, tmp_path: Path
) -> None:
    for content in ("one", "two"):
        roll_out(request_of(content))
        host_program.finish(request_of())
    # The third fails before it has kept anything: a full disk, say.
    assert host_program.restore(request_of())
    assert (tmp_path / "stack" / FILE).read_text() == "two"


def test_a_first_rollout_that_is_red_leaves_no_file(request_of: Any, tmp_path: Path) -> None:
    roll_out(request_of("one"))
    assert not host_program.restore(request_of())
    assert not (tmp_path / "stack" / FILE).exists()
