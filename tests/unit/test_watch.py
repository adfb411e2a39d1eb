"""Watching what was started: what turns a gate red after some seconds."""

import json
from typing import Any

import pytest

from deployments.cli.schema import EXAMPLE
from infra.errors import GateFailed, StepFailed
from infra.model.stack import ReloadStack, StackPlan, StartStack
from infra.rollout import watch_program
from infra.rollout.render import render_stacks
from infra.rollout.watch import Watch, watch, watches
from infra.site_file import load_site

STACKS = render_stacks(load_site(EXAMPLE))
REQUEST = {"containers": ["caddy"], "seconds": 2, "share": 0.95}
MEBIBYTE = 1024**2


class Engine:
    """Answers as the engine's socket does; `changed`: what it tells from the third look on."""

    def __init__(self, changed: dict[str, Any] | None, usage: int = 40, limit: int = 128) -> None:
        self.looks = 0
        self._changed = changed
        self._memory = {
            "usage": (usage + 12) * MEBIBYTE,
            "limit": limit * MEBIBYTE,
            "stats": {"inactive_file": 7 * MEBIBYTE, "active_file": 5 * MEBIBYTE},
        }

    def __call__(self, path: str) -> dict[str, Any] | None:
        if "/stats" in path:
            return {"memory_stats": self._memory}
        self.looks += 1
        state = {"Status": "running", "Running": True, "StartedAt": "1", "OOMKilled": False}
        usual: dict[str, Any] = {"RestartCount": 7, "State": state}
        if self.looks < 3:
            return usual
        if self._changed is None:
            return None
        changed = dict(self._changed)
        return usual | {"RestartCount": changed.pop("restarts", 7), "State": state | changed}


def watched(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> dict[str, Any]:
    clock = iter(range(100))
    monkeypatch.setattr(watch_program.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(watch_program.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(watch_program, "docker", engine)
    return watch_program.watch(REQUEST)


def test_a_container_that_stays_as_it_was_has_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch, Engine({}))
    assert seen == {"seconds": 2, "problems": {}, "memory": {"caddy": 40 * MEBIBYTE}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"restarts": 8, "StartedAt": "2"}, "ended and was started again (8 restarts"),
        ({"StartedAt": "2"}, "ended and was started again (7 restarts"),
        ({"Running": False, "Status": "exited", "ExitCode": 3}, "is exited, exit status 3"),
        ({"Restarting": True, "Status": "restarting"}, "is restarting"),
        ({"Health": {"Status": "unhealthy"}}, "is unhealthy"),
        ({"OOMKilled": True}, "killed for want of memory (limit 128 MiB)"),
    ],
)
def test_what_changes_while_it_is_watched_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], told: str
) -> None:
    engine = Engine(changed)
    assert told in watched(monkeypatch, engine)["problems"]["caddy"]
    assert engine.looks == 3


def test_a_container_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, Engine(None))["problems"]["caddy"]


def test_a_container_at_its_limit_is_told_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch, Engine({}, usage=126))
    assert seen["problems"] == {"caddy": "uses 126 MiB of its limit of 128 MiB"}


class Host:
    def __init__(self, answer: object) -> None:
        self.login = type("Login", (), {"name": "vps"})
        self._answer = answer

    def as_root(self, command: str) -> str:
        return command

    def check(self, *_: Any, **__: Any) -> bytes:
        return json.dumps(self._answer).encode()

    def run(self, *_: Any, **__: Any) -> Any:
        return type("Output", (), {"stdout": b"panic: out of ideas\n", "stderr": b""})


def test_a_problem_turns_the_gate_red_with_the_last_log_lines() -> None:
    host = Host({"seconds": 3.2, "problems": {"caddy": "is unhealthy"}, "memory": {}})
    with pytest.raises(GateFailed, match=r"caddy is unhealthy, 3\.2 s (?s:.*)out of ideas"):
        watch(host, Watch("vps", ("caddy",), 5))  # type: ignore[arg-type]


def test_an_answer_that_is_none_is_refused() -> None:
    with pytest.raises(StepFailed, match="unreadable"):
        watch(Host({"seconds": "long"}), Watch("vps", ("caddy",), 5))  # type: ignore[arg-type]


START = StartStack(item="x", summary="start it", containers=("caddy",))
RELOAD = ReloadStack(item="x", summary="reload it")


def test_what_was_started_is_watched_for_as_long_as_its_declaration_says() -> None:
    plans = {"headscale": StackPlan(target="x"), "caddy": StackPlan(target="x", changes=(START,))}
    seconds = STACKS["caddy"].gate.watch_seconds
    assert watches(STACKS, plans) == [Watch("vps", ("caddy",), seconds)]
    assert seconds > 10


def test_a_reload_is_watched_briefly_and_what_was_left_alone_is_not() -> None:
    plans = {"headscale": StackPlan(target="x"), "caddy": StackPlan(target="x", changes=(RELOAD,))}
    assert watches(STACKS, plans) == [Watch("vps", ("caddy",), 1)]
    assert watches(STACKS, {"caddy": StackPlan(target="x")}) == []
