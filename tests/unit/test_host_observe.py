"""What a host answers is bounded and checked before anything believes it."""

import ast
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.host.facts import machine, system
from infra.host.observe import facts_program
from infra.model.observation import FileState, Observation, ObserveRequest, StackQuery


def answer(request: ObserveRequest) -> dict[str, object]:
    """The program's answer about this machine, run as on a host: without site-packages."""
    command = [sys.executable, "-IS", "-"]
    done = subprocess.run(
        command, input=facts_program(request), capture_output=True, check=True, timeout=30
    )
    return dict(json.loads(done.stdout))


def stack(folder: Path) -> ObserveRequest:
    return ObserveRequest(
        admin="nobody", stacks=(StackQuery(project="no-such-project", directory=folder),)
    )


def test_the_program_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    observation = Observation.model_validate_json(json.dumps(answer(stack(tmp_path))))
    assert observation.host.machine.ram_bytes > 0
    assert observation.host.admin is not None


def test_an_account_that_is_not_there_is_none() -> None:
    host = answer(ObserveRequest(admin="no_such_account"))["host"]
    assert isinstance(host, dict)
    assert host["admin"] is None


def test_files_are_seen_by_content_and_mode_but_data_is_not(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "config/a.yaml").write_text("a")
    (tmp_path / "config/a.yaml").chmod(0o640)
    (tmp_path / "data/secret.key").write_text("x")
    (tmp_path / "link").symlink_to("/etc/shadow")
    found = Observation.model_validate_json(json.dumps(answer(stack(tmp_path))))
    a = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert found.stacks["no-such-project"].files == {
        "config/a.yaml": FileState(sha256=a, mode=0o640)
    }


def test_a_file_is_loose_when_others_may_change_it_or_put_another_in_its_place(
    tmp_path: Path,
) -> None:
    assert not system.is_loose("/etc/passwd")
    shared = tmp_path / "keys"
    shared.touch(mode=0o644)
    assert system.is_loose(str(shared)), "everybody may write to /tmp"


def test_the_program_runs_on_the_oldest_system_that_is_refused_with_a_sentence() -> None:
    """Debian 11's Python is 3.9: it must come to the answer that says so."""
    program = facts_program(ObserveRequest(admin="nobody")).decode()
    ast.parse(program, feature_version=(3, 9))
    assert "strict=" not in program


def test_a_pattern_of_a_kernel_setting_is_all_its_values() -> None:
    values = {p.read_text().strip() for p in Path("/proc/sys/net/ipv4/conf").glob("*/forwarding")}
    assert system.sysctl("net.ipv4.conf.*.forwarding") == " ".join(sorted(values))
    assert system.sysctl("net.ipv4.nothing.*.forwarding") == ""


def test_a_held_package_is_there() -> None:
    listing = "ii  sudo 1.9\nhi  docker.io 26.1\nrc  nginx 1.26\nii  dash 0.5\n"
    wanted = ["docker.io", "nginx", "sudo"]
    assert system.installed(listing, wanted) == {"sudo": "1.9", "docker.io": "26.1"}


@pytest.mark.parametrize("listing", ["iU  sudo 1.9", "iF  sudo 1.9", "iHR sudo 1.9"])
def test_an_installation_is_broken_off_when_nobody_goes_on_with_it(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "DPKG", str(tmp_path))
    (tmp_path / "lock-frontend").touch()
    assert system.unfinished(listing)
    with holding(tmp_path / "lock-frontend"):
        assert not system.unfinished(listing)
    assert not system.unfinished("ii  sudo 1.9\nrc  nginx 1.26\nit  libc-bin 2.41")
    (tmp_path / "updates").mkdir()
    (tmp_path / "updates/0003").touch()
    assert system.unfinished("ii  sudo 1.9")


@contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Another process has the lock, as apt does."""
    program = (
        "import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.lockf(lock, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate()


@pytest.mark.parametrize("wal", ["WAL", "DELETE"])
def test_users_and_tags_are_read_from_a_database_that_is_being_written(
    tmp_path: Path, wal: str
) -> None:
    path = tmp_path / "db.sqlite"
    assert answer(ObserveRequest(admin="nobody", database=path))["mesh"] is None
    with closing(sqlite3.connect(path, isolation_level=None)) as live:
        live.execute(f"PRAGMA journal_mode = {wal}")
        live.executescript(
            """
            CREATE TABLE users(name text, deleted_at datetime);
            CREATE TABLE nodes(node_key text, tags text, deleted_at datetime);
            INSERT INTO users VALUES ('alice', NULL), ('gone', '2026-01-01'), ('', NULL);
            INSERT INTO nodes VALUES ('nodekey:1', '["tag:c"]', NULL), ('nodekey:2', NULL, NULL),
                                     ('nodekey:3', '["tag:x"]', '2026-01-01');
            """
        )
        expected = {"users": ["alice"], "tagged": {"tag:c": ["nodekey:1"]}}
        assert answer(ObserveRequest(admin="nobody", database=path))["mesh"] == expected
        live.execute("ALTER TABLE nodes RENAME COLUMN tags TO forced_tags")  # as before 0.28
        assert answer(ObserveRequest(admin="nobody", database=path))["mesh"] == expected
    # Closed: a WAL is gone, and its index could not be made by one who only reads.
    assert answer(ObserveRequest(admin="nobody", database=path))["mesh"] == expected
    path.write_text("no database")
    assert answer(ObserveRequest(admin="nobody", database=path))["mesh"] is None


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "


@pytest.mark.parametrize(
    ("users", "nodes", "seen"),
    [
        (f"{ENDLESS} 'u' || i, NULL FROM n WHERE i < 0", "", None),
        (f"{ENDLESS} 'u', NULL FROM n", "", (["u"] * 10_000, {})),
        ("SELECT 'a', NULL UNION SELECT hex(zeroblob(2500)), NULL", "", (["a"], {})),
        ("SELECT hex(zeroblob(400000000)), NULL", "", None),
        ("SELECT 1, NULL UNION SELECT x'ff', NULL UNION SELECT 'a', NULL", "", (["a"], {})),
        ("SELECT CAST(x'ff' AS text), NULL", "", None),
        ("", "SELECT 'key', '[', NULL", None),
        ("", f"SELECT 'key', '{'[' * 4_000}', NULL", None),
        ("", "SELECT 'key', '{\"tag:a\": 1}', NULL", ([], {})),
        ("", "SELECT 'key', '\"tag\"', NULL", ([], {})),
        ("", "SELECT 'key', '[[\"tag:a\"]]', NULL", ([], {})),
        ("", "SELECT 5, '[\"tag:a\"]', NULL", ([], {})),
    ],
    ids=[
        "a query without end",
        "rows without end",
        "a long name",
        "a name that fills the memory",
        "names that are no text",
        "a name that is no UTF-8",
        "tags that are no JSON",
        "tags that are deep",
        "tags that are no list",
        "tags that are one text",
        "tags that are no texts",
        "a key that is no text",
    ],
)
def test_a_database_made_by_an_attacker_holds_nobody_up(
    tmp_path: Path, users: str, nodes: str, seen: tuple[list[str], dict[str, list[str]]] | None
) -> None:
    path = tmp_path / "db.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.executescript(
            f"CREATE VIEW users(name, deleted_at) AS {users or 'SELECT NULL, NULL'};"
            f"CREATE VIEW nodes(node_key, tags, deleted_at) AS {nodes or 'SELECT NULL, NULL, NULL'};"
        )
    expected = None if seen is None else {"users": seen[0], "tagged": seen[1]}
    assert answer(ObserveRequest(admin="nobody", database=path))["mesh"] == expected


@pytest.mark.parametrize(
    "change",
    [{"files": {"x": "y"}}, {"packages": {"sudo": "v" * 5000}}, {"unknown": 1}, {"os": None}],
)
def test_an_answer_of_another_shape_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    given = answer(stack(tmp_path))
    host = given["host"]
    assert isinstance(host, dict)
    host |= change
    if "files" in change:
        host["files"] = {"/etc/x": "y" * 70_000}
    with pytest.raises(ValidationError):
        Observation.model_validate_json(json.dumps(given))


def status_of_root(capabilities: int) -> dict[str, str]:
    return {"/proc/self/status": f"CapInh:\t0\nCapEff:\t{capabilities:016x}\nCapBnd:\t0\n"}


@pytest.mark.parametrize(
    ("files", "writable", "settable"),
    [
        (status_of_root(2**41 - 1), True, ["swap", "time", "kernel"]),
        (status_of_root(2**41 - 1 - 2**21 - 2**25), True, ["kernel"]),
        (status_of_root(2**41 - 1), False, ["swap", "time"]),
        (status_of_root(2**41 - 1) | {"/run/systemd/container": "lxc\n"}, True, []),
    ],
    ids=["machine", "bound", "kernel read-only", "container"],
)
def test_what_root_may_change_is_seen_without_trying(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], writable: bool, settable: list[str]
) -> None:
    monkeypatch.setattr(machine, "read", lambda path: files.get(path, ""))
    monkeypatch.setattr(machine.os, "access", lambda _path, _mode: writable)
    assert machine.settable() == settable


def test_swap_is_read_as_the_kernel_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/var/lib/meshkeeper/swapfile            file\t\t1048572\t\t0\t\t-2\n"
    )
    monkeypatch.setattr(system, "read", lambda _path: told)
    assert system.swaps() == {"/var/lib/meshkeeper/swapfile": 2**30 - 4096}
