"""A host's lock, with the host's own program and the check in its shell."""

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.access import lock_check
from infra.access.login import Login
from infra.access.session import Session
from infra.errors import HostLocked, StepFailed
from infra.host import lock
from infra.model.lock import Claim
from tests.unit.lock_host import LocalSession, at_work, lock_in

SUDO = """#!/bin/sh
# Asks for a password, and takes the right one only.
[ "$1" = -n ] && exit 1
shift 4
IFS= read -r password && [ "$password" = secret ] || exit 1
[ "$1" = -- ] && shift
exec "$@"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return lock_in(tmp_path / "lock", monkeypatch)


@pytest.fixture
def session() -> Any:
    return LocalSession()


def claim(run: str = "quick-fox", lease: int = 60) -> Claim:
    return lock.new_claim("provision vps", run, lease)


def test_a_second_run_is_told_at_once_who_holds_the_lock_since_when_and_doing_what(
    session: Any,
) -> None:
    first = claim()
    lock.take(session, first)
    with pytest.raises(HostLocked) as refused:
        lock.take(session, claim("late-owl"))
    assert refused.value.exit_code == 3
    assert refused.value.message == (
        f"vps is locked by {first.holder.owner} since {first.holder.since:%Y-%m-%d %H:%M:%S} UTC "
        "(provision vps, run quick-fox)."
    )
    assert re.search("within (60|5[0-9]) s", refused.value.hint)
    assert "`meshkeeper unlock`" in refused.value.hint


def test_whose_answer_was_lost_asks_again_and_still_has_it(session: Any) -> None:
    mine = claim()
    lock.take(session, mine)
    lock.take(session, mine)
    assert lock.shown(session).token == mine.token


def test_who_released_it_leaves_it_to_the_next(session: Any) -> None:
    first, second = claim(), claim()
    lock.take(session, first)
    assert lock.release(session, first.token)
    lock.take(session, second)
    assert not lock.release(session, first.token)
    assert lock.shown(session).token == second.token


def test_a_lease_that_ran_out_is_free_and_is_not_given_back(session: Any, folder: Path) -> None:
    mine = claim()
    lock.take(session, mine)
    assert lock.renew(session, mine)
    first, holder = (folder / "lock").read_text().splitlines()
    token, _, boot = first.split()
    (folder / "lock").write_text(
        f"{token} {int(time.clock_gettime(time.CLOCK_BOOTTIME))} {boot}\n{holder}\n"
    )
    assert not lock.renew(session, mine)
    assert run(mine.token).returncode == lock_check.STATUS
    lock.take(session, claim())


def test_a_lock_of_another_boot_is_free(session: Any, folder: Path) -> None:
    mine = claim()
    lock.take(session, mine)
    first, holder = (folder / "lock").read_text().splitlines()
    (folder / "lock").write_text(f"{first.rpartition(' ')[0]} another-boot\n{holder}\n")
    assert lost(mine.token) == "it could not be renewed in time"
    assert lock.shown(session).token is None
    lock.take(session, claim())


@pytest.mark.parametrize("content", ["", "x\n", "a b c\n{}\n", "a 99999999999 c\nno json\n"])
def test_what_is_no_lock_is_free(session: Any, folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "lock").write_text(content)
    lock.take(session, claim())


def test_the_lock_is_roots_alone(session: Any, folder: Path) -> None:
    lock.take(session, claim())
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "lock").stat().st_mode & 0o077 == 0


def test_a_change_of_the_holder_runs_with_its_input_and_its_own_status(session: Any) -> None:
    mine = claim()
    lock.take(session, mine)
    assert run(mine.token, "cat", b"input\n").stdout == b"input\n"
    assert run(mine.token, "sh -c 'exit 5'").returncode == 5


def test_a_change_of_who_holds_it_no_more_is_not_begun_and_told_who_does(
    session: Any, tmp_path: Path
) -> None:
    mine, theirs = claim(), claim("late-owl")
    lock.take(session, mine)
    lock.release(session, mine.token)
    assert "somebody removed it by `meshkeeper unlock`" in lost(mine.token)
    lock.take(session, theirs)
    assert lost(mine.token) == f"it is now held by {theirs.holder}"
    run(mine.token, f"touch {tmp_path}/touched")
    assert not (tmp_path / "touched").exists()


def test_a_change_on_a_host_that_was_never_locked_is_not_begun() -> None:
    assert "the host booted anew" in lost(claim().token)


def test_what_a_dead_run_began_keeps_the_next_one_out_until_it_ends(session: Any) -> None:
    dead = claim(lease=2)
    lock.take(session, dead)
    with at_work("sleep 60", dead.token) as change:
        time.sleep(2.1)
        with pytest.raises(HostLocked, match=rf"still at work there: sleep \(process {change.pid}"):
            lock.take(session, claim())
        assert lock.shown(session).at_work == (f"sleep (process {change.pid})",)
        change.kill()
    lock.take(session, claim())


def test_a_change_that_waits_does_not_keep_its_holder_from_renewing(session: Any) -> None:
    mine = claim()
    lock.take(session, mine)
    with at_work("cat", mine.token):
        assert lock.renew(session, mine)


@pytest.mark.parametrize("user", ["root", "admin", "admin whose sudo asks"])
def test_the_check_works_for_each_way_to_become_root(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    """With standard input left whole, whatever stood in front of it."""
    mine = claim()
    lock.take(session, mine)
    asking = user.endswith("asks")
    sudo = SUDO if asking else '#!/bin/sh\nshift 2\nexec "$@"\n'
    (tmp_path / "sudo").write_text(sudo)
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    login = session.login.model_copy(
        update={
            "user": user.split(maxsplit=1)[0],
            "lock_token": mine.token,
            "sudo_password": SecretStr("secret") if asking else None,
        }
    )
    command = as_root(login, "sh -c 'echo one; cat'")
    password = b"secret\n" if asking else b""
    done = subprocess.run(
        ["sh", "-c", command], input=password + b"two\n", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"one\ntwo\n")

    lock.release(session, mine.token)
    refused = subprocess.run(
        ["sh", "-c", command], input=password + b"two\n", capture_output=True, check=False
    )
    assert (refused.returncode, refused.stdout) == (lock_check.STATUS, b"")
    assert lock_check.MARK in refused.stderr.decode()


def test_only_its_own_words_are_taken_for_a_lost_lock() -> None:
    assert lock_check.refused("vps", "step", lock_check.STATUS, b"something failed") is None
    said = f"{lock_check.MARK} other {{}}".encode()
    assert lock_check.refused("vps", "step", 1, said) is None
    error = lock_check.refused("vps", "host.docker", lock_check.STATUS, said)
    assert error is not None
    assert error.exit_code == 3
    assert error.message == (
        "vps: host.docker: not done, since this run no longer holds the host's lock: it is now "
        "another run's."
    )


def test_an_answer_without_sense_is_told_and_not_believed(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "check", lambda *_, **__: b'{"done": true, "token": "x"}')
    with pytest.raises(StepFailed, match="vps: take the lock: its answer makes no sense"):
        lock.take(session, claim())


def as_root(login: Login, command: str) -> str:
    return Session(login, transport=None).as_root(command)  # type: ignore[arg-type]


def run(
    token: str, command: str = "true", stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """A change, as a host's shell runs it."""
    checked = lock_check.checked(command, token)
    return subprocess.run(["sh", "-c", checked], input=stdin, capture_output=True, check=False)


def lost(token: str) -> str:
    """Why a change is not begun."""
    done = run(token)
    error = lock_check.refused("vps", "x", done.returncode, done.stderr)
    assert error is not None, done
    return error.message.partition("lock: ")[2].removesuffix(".")


def test_what_the_run_itself_began_is_waited_for_and_not_taken_for_another_runs(
    session: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection was cut, and the program is still at work on the host."""
    monkeypatch.setattr(lock_check, "_TAKING", 0)
    mine = claim()
    lock.take(session, mine)
    at_work = subprocess.Popen(["flock", folder / "changing", "sleep", "1"])
    time.sleep(0.3)
    assert lost("0" * 32).startswith("it is now")
    assert at_work.poll() is None
    assert run(mine.token).returncode == 0
    assert at_work.wait(0) == 0
