"""Flows that lock their hosts: all or none, and whoever changes nothing locks nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import provision as flow
from infra.errors import HostLocked, LoginRefused
from infra.host import lock
from infra.host.provision import Target
from infra.settings import Settings
from tasks import lock as tasks
from tasks import site as opening
from tasks.site import OpenSite, session_of
from tests.unit.lock_host import LocalSession, lock_in


class Hosts:
    """Hosts of which each has a lock of its own; `order` is in which they were asked first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.order: list[str] = []
        self.refused: set[str] = set()

    def session(self, host: str) -> Any:
        session = LocalSession()
        check = session.check

        def check_there(step: str, command: str, *, stdin: bytes, **options: Any) -> bytes:
            there = stdin.replace(bytes(self.folder), bytes(self.folder.with_name(host)))
            return check(step, command, stdin=there, **options)

        session.check = check_there  # type: ignore[method-assign]
        return session

    @contextmanager
    def way_in(self, target: Target) -> Iterator[Any]:
        if target.user in self.refused:
            raise LoginRefused("refused")
        if target.host not in self.order:
            self.order.append(target.host)
        yield self.session(target.host)

    def holder(self, host: str) -> str | None:
        return lock.shown(self.session(host)).token


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    hosts = Hosts(lock_in(tmp_path / "lock", monkeypatch))
    monkeypatch.setattr(tasks, "way_in", hosts.way_in)
    monkeypatch.setattr(tasks, "take_lock", tasks.take_lock.fn)
    return hosts


@pytest.fixture
def opened(tmp_path: Path) -> OpenSite:
    known = {name: SimpleNamespace(admin="linuxuser") for name in ("a", "b", "c")}
    site: Any = SimpleNamespace(name="cronova.dev", hosts=known)
    return OpenSite(site, Settings(state_dir=tmp_path))


def test_several_hosts_are_locked_in_one_order_and_free_afterwards(
    hosts: Hosts, opened: OpenSite
) -> None:
    with tasks.locked(opened, ("c", "a", "c"), "rollout") as held:
        assert hosts.order == ["a", "c"]
        assert held.lock_tokens == {"a": hosts.holder("a"), "c": hosts.holder("c")}
        assert len(set(held.lock_tokens.values())) == 2
    assert (hosts.holder("a"), hosts.holder("c")) == (None, None)
    assert opened.lock_tokens == {}


def test_one_that_is_locked_leaves_the_others_free(hosts: Hosts, opened: OpenSite) -> None:
    theirs = lock.new_claim("provision b", "late-owl", 60)
    lock.take(hosts.session("b"), theirs)
    with (
        pytest.raises(HostLocked, match="provision b, run late-owl"),
        tasks.locked(opened, "abc", ""),
    ):
        pass
    assert hosts.order == ["a", "b"]
    assert (hosts.holder("a"), hosts.holder("b")) == (None, theirs.token)


def test_once_root_is_shut_out_the_lock_is_kept_as_the_admin(
    hosts: Hosts, opened: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.refused.add("root")
    monkeypatch.setattr(Target, "admin", SimpleNamespace(user="linuxuser"))
    target = Target(opened.settings, opened.site, "a", user="root")
    with tasks.way_in_later(target) as session:
        assert session.login.name == "vps"
    assert hosts.order == ["a"]


def test_a_steps_session_carries_the_right_of_its_run_for_that_host_alone(
    opened: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = LocalSession().login
    monkeypatch.setattr(opening, "admin_login", lambda *_: login)
    monkeypatch.setattr(opening, "session_by", lambda login: login)
    held = opened._replace(lock_tokens={"a": "0" * 32})
    assert session_of(held, "a").lock_token == "0" * 32  # type: ignore[attr-defined]
    assert session_of(held, "b").lock_token == ""  # type: ignore[attr-defined]


@pytest.fixture
def provisioning(
    hosts: Hosts, opened: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Any]]:
    """The flow's steps on host a, which differs in what `planned` says at each look."""
    seen: dict[str, list[Any]] = {"planned": [], "looks": [], "changes": []}

    def look(target: Target) -> Any:
        seen["looks"].append(target.lock_token == hosts.holder("a"))
        changes = seen["planned"].pop(0)
        plan = SimpleNamespace(changes=changes, empty=not changes, notes=())
        return SimpleNamespace(user="root", settled=True, plan=plan, round_trips=1, machine=None)

    def change(target: Target, what: str) -> str:
        assert target.lock_token == hosts.holder("a")
        seen["changes"].append(what)
        return what

    monkeypatch.setattr(flow, "open_site", lambda _: opened)
    monkeypatch.setattr(flow, "pin", lambda _: None)
    monkeypatch.setattr(flow, "observe_host", look)
    monkeypatch.setattr(flow, "prove_in_order", look)
    monkeypatch.setattr(flow, "change_host", change)
    monkeypatch.setattr(flow, "ProvisionReport", SimpleNamespace)
    monkeypatch.setattr(flow, "markdown", str)
    monkeypatch.setattr(flow, "publish_report", lambda *_: None)
    return seen


def test_a_host_in_order_is_looked_at_once_and_not_locked(
    hosts: Hosts, provisioning: dict[str, list[Any]]
) -> None:
    provisioning["planned"] = [[]]
    flow.provision.fn(SimpleNamespace(site="cronova.dev", host="a"))
    assert hosts.order == []
    assert len(provisioning["looks"]) == 1


def test_what_is_changed_is_what_was_seen_under_the_lock(
    hosts: Hosts, provisioning: dict[str, list[Any]]
) -> None:
    """Another run may have been at work between the first look and the lock."""
    provisioning["planned"] = [["one", "two"], ["two"], []]
    report = flow.provision.fn(SimpleNamespace(site="cronova.dev", host="a"))
    assert provisioning["changes"] == ["two"]
    assert provisioning["looks"] == [False, True, True]
    assert report.changes == ("two",)
    assert hosts.holder("a") is None
