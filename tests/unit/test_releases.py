"""Releases on the host: what goes back together, and what is left of a run that was killed."""

import gzip
import os
import stat
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.releasing import DATABASE, KEYS, Host, host_program, new_host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return new_host(tmp_path, monkeypatch)


def put_back(host: Host) -> tuple[bool, str | None]:
    """Whether anything served before, and which snapshot its data are of."""
    told = host.ask("restore")
    return told["back"], told["data_of"]


class Killed(BaseException):
    """As `kill -9`: nothing of the program goes on."""


def test_a_red_rollout_without_another_image_leaves_the_data_alone(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:a", passes=False)
    host.write_data("what came since")
    assert put_back(host) == (True, None)
    host.ask("drop")
    assert (host.file, host.database) == ("one", "what came since")
    assert not (host.stack / host_program.PENDING).exists()
    assert len(host.releases) == 1


def test_a_red_rollout_is_told_with_what_it_had_otherwise(host: Host) -> None:
    host.roll_out("a: 1\nb: 2\n", "sha256:a")
    host.roll_out("a: 1\nb: 3\n", "sha256:a", passes=False)
    assert host.ask("restore")["diff"].splitlines() == [
        "--- compose.yml",
        "+++ compose.yml",
        "@@ -1,2 +1,2 @@",
        " a: 1",
        "-b: 2",
        "+b: 3",
    ]


def test_a_diff_is_short_and_tells_a_secret_by_its_name_alone() -> None:
    tell = host_program.difference
    assert tell({"a": b"same"}, {"a": b"same"}) == ""
    hidden = tell({"secrets/token": b"old"}, {"secrets/token": b"new", "secrets/key": b"x"})
    assert hidden == "secrets/key: another value\nsecrets/token: another value"
    lines = tell({}, {"a": b"line\n" * 1000}).splitlines()
    assert lines[:2] == ["--- /dev/null", "+++ a"]
    assert (len(lines), lines[-1]) == (201, "… 803 more lines")
    assert max(map(len, tell({}, {"a": b"x" * 5000}).splitlines())) == 300
    assert tell({}, {"a": b"x" * 100_000}) == "a: differs, and is too large to be shown"


def test_a_red_migration_brings_files_image_and_data_back(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.write_data("at the moment of the snapshot")
    host.roll_out("two", "sha256:b", passes=False)
    (host.data / "db.sqlite-wal").write_text("it would poison the database")
    assert put_back(host) == (True, "20261127T093001Z")
    host.ask("drop")
    assert (host.file, host.database) == ("one", "at the moment of the snapshot")
    assert host.images["headscale:1"] == "sha256:a"
    assert not (host.data / "db.sqlite-wal").exists()
    assert (host.stack / "data.failed/db.sqlite").read_text() == "data of sha256:b"


def test_data_are_never_open_to_others_while_they_are_put_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:b", passes=False)
    seen: list[int] = []
    copied = host_program.shutil.copytree

    def looked_at(source: Path, target: Path, **named: Any) -> Any:
        seen.append(stat.S_IMODE(target.stat().st_mode))
        return copied(source, target, **named)

    monkeypatch.setattr(host_program.shutil, "copytree", looked_at)
    host.ask("restore")
    assert seen == [0o700]
    assert stat.S_IMODE(host.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((host.data / "noise_private.key").stat().st_mode) == 0o600


def test_failed_data_go_with_the_next_success(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:b", passes=False)
    host.ask("restore")
    host.ask("drop")
    host.running = "sha256:a"
    host.roll_out("three", "sha256:c")
    assert not (host.stack / "data.failed").exists()


def test_a_stack_whose_snapshot_fails_is_not_touched(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.sidecar_fails = "Headscale does not show its keys"
    with pytest.raises(SystemExit, match="nothing was touched: Headscale does not show its keys"):
        host.roll_out("two", "sha256:b")
    assert host.file == "one"
    assert not (host.stack / host_program.PENDING).exists()
    assert put_back(host) == (True, None)
    assert host.images["headscale:1"] == "sha256:a"


def test_a_disk_without_room_for_the_data_is_met_before_a_server_is_stopped(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:b", passes=False)

    monkeypatch.setattr(host_program, "free", lambda _: 5)
    with pytest.raises(SystemExit, match="no room for the data"):
        host.ask("restore")
    assert not [words for words in host.said if words[0] in {"ps", "stop"}]
    assert host.database == "data of sha256:b"


def test_a_snapshot_that_contradicts_its_manifest_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.roll_out("one", "sha256:a")
    whole = host.write_snapshot
    monkeypatch.setattr(host, "write_snapshot", lambda path, name: whole(path, name, b"half"))
    with pytest.raises(SystemExit, match=r"db\.sqlite is not as its manifest says"):
        host.roll_out("two", "sha256:b")
    assert host.file == "one"


def test_a_snapshot_that_is_a_link_is_not_followed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.roll_out("one", "sha256:a")
    monkeypatch.setattr(host, "write_snapshot", lambda path, _: path.symlink_to("/etc/shadow"))
    with pytest.raises(OSError, match="symbolic link"):
        host.roll_out("two", "sha256:b")


def test_another_server_is_noticed_also_where_the_old_one_was_removed_by_hand(host: Host) -> None:
    """Nothing ran that the plan could have compared with; but data of another image lie there."""
    host.roll_out("one", "sha256:a")
    host.running = ""
    host.sidecar_fails = "no such container"
    with pytest.raises(SystemExit, match="no snapshot of the data could be made"):
        host.roll_out("two", "sha256:b")


def test_a_first_rollout_that_is_red_leaves_no_file(host: Host) -> None:
    host.roll_out("one", "sha256:a", passes=False)
    assert put_back(host) == (False, None)
    host.ask("drop")
    assert not (host.stack / "compose.yml").exists()
    assert host.releases == []


def test_data_that_were_put_there_before_the_first_rollout_need_no_snapshot(host: Host) -> None:
    host.data.mkdir(parents=True)
    host.write_data("restored by hand")
    host.images["headscale:1"] = "sha256:a"
    host.ask("prepare", "one")
    assert host.database == "restored by hand"
    assert not list(host.backups.glob("*.tar"))


def test_what_was_changed_by_hand_comes_back_as_it_served(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    (host.stack / "compose.yml").write_text("by hand")
    host.roll_out("two", "sha256:a", passes=False)
    host.ask("restore")
    assert host.file == "by hand"


def test_a_stack_of_an_earlier_meshkeeper_comes_back_with_the_image_that_ran(host: Host) -> None:
    """The name means the new image by then: what the container was made from counts."""
    host.stack.mkdir()
    (host.stack / "compose.yml").write_text("old")
    host.running = "sha256:old"
    host.images = {"headscale:0": "sha256:old", "headscale:1": "sha256:new"}
    host.ask("prepare", "new")
    host.ask("restore")
    assert (host.file, host.images["headscale:1"]) == ("old", "sha256:old")


def test_an_early_failure_does_not_take_down_what_an_earlier_meshkeeper_rolled_out(
    host: Host,
) -> None:
    host.stack.mkdir()
    (host.stack / "compose.yml").write_text("old")
    assert put_back(host) == (True, None)
    assert host.file == "old"


def test_five_releases_are_kept_beside_the_one_that_serves_and_no_images_but_theirs(
    host: Host,
) -> None:
    for number in range(8):
        host.images[f"other:{number}"] = f"sha256:{number}"
        host.roll_out(str(number), f"sha256:{number}")
    assert len(host.releases) == 1 + host_program.KEPT
    removed = [words[-1] for words in host.said if words[:2] == ("image", "rm")]
    assert removed == ["sha256:0", "sha256:1"]


def test_releases_of_one_second_follow_each_other(host: Host) -> None:
    for number in range(3):
        host.roll_out(str(number), "sha256:a")
    contents = [(release / "files/compose.yml").read_text() for release in host.releases]
    assert contents == ["0", "1", "2"]


def test_a_rollout_that_was_killed_after_its_migration_keeps_the_data_from_before_it(
    host: Host,
) -> None:
    host.roll_out("one", "sha256:a")
    host.write_data("before")
    host.roll_out("two", "sha256:b", passes=False)  # killed: neither committed nor put back
    host.write_data("migrated")
    host.ask("prepare", "three")
    assert len(host.releases) == 2
    host.ask("restore")
    assert (host.file, host.database) == ("one", "before")


def test_a_rollout_that_was_killed_before_its_migration_takes_a_new_snapshot(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.images["headscale:1"] = "sha256:b"
    host.ask("prepare", "two", snapshot=True)
    host.write_data("what came since")  # the old server still runs
    host.ask("prepare", "two", snapshot=True)
    host.running = "sha256:b"
    host.write_data("migrated")
    host.ask("restore")
    assert host.database == "what came since"


def test_data_that_no_other_server_has_had_stay_when_files_go_back(host: Host) -> None:
    """The new version did not even start: the old one has served all the while."""
    host.roll_out("one", "sha256:a")
    host.images["headscale:1"] = "sha256:b"
    host.ask("prepare", "two", snapshot=True)
    host.write_data("a device that joined since")
    assert put_back(host) == (True, None)
    assert (host.file, host.database) == ("one", "a device that joined since")


def test_a_file_that_only_a_killed_rollout_had_goes_with_the_next(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.ask("prepare", files={"compose.yml": "two", "conf.d/x": "of the killed one"})
    host.ask("prepare", "three")
    assert not (host.stack / "conf.d/x").exists()


def two_minors(host: Host) -> tuple[str, str]:
    """A host whose second release got another server; the first one's image is there still, under
    whatever name. Their ids."""
    host.roll_out("one", "sha256:a")
    host.write_data("of the old version")
    host.roll_out("two", "sha256:b")
    host.images["headscale:0"] = "sha256:a"
    host.write_data("present")
    first, second = (release.name for release in host.releases)
    return first, second


def go_back(host: Host) -> None:
    """To the first of two releases, and to the data from before the second."""
    first, second = two_minors(host)
    host.ask("prepare", release=first, snapshot=True)
    host.ask("exchange", data_of=second)


def test_going_back_from_a_server_that_died_keeps_its_data_as_they_lie(host: Host) -> None:
    """Its sidecar can't tell what they hold; they come back whole when the way back fails, too."""
    first, second = two_minors(host)
    (host.data / f"{DATABASE}-wal").write_text("its newest row")
    host.running, host.sidecar_fails = "", "no /key"
    host.ask("prepare", release=first, snapshot=True)
    host.ask("exchange", data_of=second)
    assert host.database == "of the old version"
    assert put_back(host) == (True, None)
    assert (host.file, host.database) == ("two", "present")
    assert (host.data / f"{DATABASE}-wal").read_text() == "its newest row"


def test_the_present_outlives_a_rollback_that_was_killed_after_its_start(host: Host) -> None:
    """With the present's own image: its server runs, on data that are not the present's."""
    host.roll_out("one", "sha256:a")
    host.write_data("of the old version")
    host.ask("prepare", "two", snapshot=True)
    host.ask("commit")
    first, second = (release.name for release in host.releases)
    host.write_data("present")
    host.ask("prepare", release=first, snapshot=True)
    host.ask("exchange", data_of=second)  # killed after that
    host.ask("prepare", "three", snapshot=True)
    assert put_back(host)[0]
    assert (host.file, host.database) == ("two", "present")


def test_a_snapshot_that_is_small_only_while_compressed_is_no_snapshot(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    written = host.write_snapshot

    def compressed(path: Path, name: str) -> None:
        written(path, name)
        path.write_bytes(gzip.compress(path.read_bytes()))

    host.write_snapshot = compressed  # type: ignore[method-assign, assignment]
    host.images["headscale:1"] = "sha256:b"
    with pytest.raises(tarfile.ReadError):
        host.ask("prepare", "two", snapshot=True)
    assert host.file == "one"


def test_what_a_container_put_beside_its_data_leads_root_nowhere(
    host: Host, tmp_path: Path
) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("of the host")
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:b", passes=False)
    (host.data / "stolen").symlink_to(secret)
    (host.data / "dangling").symlink_to("nowhere")
    (host.data / ".noise_private.key.draft").symlink_to(secret)
    os.mkfifo(host.data / "pipe")
    host.ask("restore")
    assert sorted(path.name for path in host.data.iterdir()) == sorted([DATABASE, *KEYS])
    assert secret.read_text() == "of the host"


def test_a_snapshot_that_is_a_pipe_is_not_waited_for(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    name = "20261127T093001Z"
    host.write_snapshot = lambda path, _: os.mkfifo(path)  # type: ignore[method-assign]
    host.images["headscale:1"] = "sha256:b"
    with pytest.raises(SystemExit, match=f"the snapshot {name} is no file"):
        host.ask("prepare", "two", snapshot=True)


#: More than a step makes: the last of them kill nothing.
MOMENTS = range(1, 36)


def killed_at_deadline(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the program killed at the `host.deadline`th of its calls that change the disk."""
    calls: list[Any] = []
    for owner, name in (
        (host_program, "replace"),
        (host_program, "sync"),
        (Path, "rename"),
        (Path, "unlink"),
        (host_program.shutil, "rmtree"),
        (host_program.shutil, "copytree"),
    ):
        original = getattr(owner, name)

        def counted(*words: Any, _original: Any = original, **named: Any) -> Any:
            calls.append(words)
            if len(calls) == host.deadline:
                raise Killed
            return _original(*words, **named)

        monkeypatch.setattr(owner, name, counted)


@pytest.mark.parametrize("moments", ["restore", "prepare", "commit"])
def test_a_kill_is_tried_at_every_moment_of(
    host: Host, monkeypatch: pytest.MonkeyPatch, moments: str
) -> None:
    """Or the two tests below would not try what they say."""
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:b", passes=moments == "prepare")
    for number in range(host_program.KEPT if moments == "commit" else 0):
        host.roll_out(str(number), "sha256:b")
    with monkeypatch.context() as killing:
        killed_at_deadline(host, killing)
        host.deadline = MOMENTS.stop
        host.ask(moments, "three", snapshot=True)
        host.ask("drop")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_commit_that_is_killed_at_any_moment_hinders_no_later_rollout(
    host: Host, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    for number in range(host_program.KEPT + 1):
        host.roll_out(str(number), f"sha256:{number}")
    host.ask("prepare", "last")
    with monkeypatch.context() as killing:
        killed_at_deadline(host, killing)
        host.deadline = moment
        with suppress(Killed):
            host.ask("commit")
        host.deadline = 0
    host.roll_out("next", "sha256:next")
    assert host_program.serving({"stack": "headscale"}) == host.releases[-1]
    assert len(host.releases) == 1 + host_program.KEPT


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_put_back_that_is_killed_at_any_moment_is_ended_by_the_next_run(
    host: Host, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    host.roll_out("one", "sha256:a")
    host.write_data("before")
    host.roll_out("two", "sha256:b", passes=False)
    with monkeypatch.context() as killing:
        killed_at_deadline(host, killing)
        host.deadline = moment
        with suppress(Killed):
            host.ask("restore")
            host.ask("drop")
        host.deadline = 0
    host.running = ""
    pending = (host.stack / host_program.PENDING).exists()
    if pending:
        host.ask("prepare", "three")
        host.ask("restore")
        host.ask("drop")
    assert (host.file, host.database) == ("one", "before")
    assert host.images["headscale:1"] == "sha256:a"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_rollout_that_is_killed_at_any_moment_of_its_preparation_loses_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    host.roll_out("one", "sha256:a")
    host.write_data("before")
    host.images["headscale:1"] = "sha256:b"
    with monkeypatch.context() as killing:
        killed_at_deadline(host, killing)
        host.deadline = moment
        with suppress(Killed):
            host.ask("prepare", "two", snapshot=True)
        host.deadline = 0
    host.ask("prepare", "two", snapshot=True)
    host.running = "sha256:b"
    host.write_data("migrated")
    host.ask("restore")
    assert (host.file, host.database) == ("one", "before")


def test_going_back_brings_files_image_and_the_data_of_that_version(host: Host) -> None:
    go_back(host)
    assert (host.file, host.database) == ("one", "of the old version")
    assert host.images["headscale:1"] == "sha256:a"
    host.ask("commit")
    assert len(host.releases) == 3


def test_going_back_that_turns_red_comes_back_to_the_present(host: Host) -> None:
    go_back(host)
    host.running = ""
    assert host.ask("restore")["data_of"] == "20261127T093002Z"
    assert (host.file, host.database) == ("two", "present")
    assert host.images["headscale:1"] == "sha256:b"


def test_going_back_that_was_killed_does_not_leave_old_data_to_the_next_rollout(host: Host) -> None:
    go_back(host)  # killed after that
    host.running = ""
    host.ask("prepare", "two")
    assert host.database == "present"


def test_going_back_that_was_killed_after_its_start_keeps_what_it_has_served_since(
    host: Host,
) -> None:
    go_back(host)
    host.running = "sha256:a"
    host.write_data("a device that joined since")  # killed after that
    host.ask("prepare", "three", snapshot=True)
    assert host.database == "a device that joined since"


def test_a_release_whose_image_is_gone_is_refused_before_anything_is_touched(host: Host) -> None:
    host.roll_out("one", "sha256:a")
    host.roll_out("two", "sha256:b")
    with pytest.raises(SystemExit, match="no longer has headscale:1"):
        host.ask("prepare", release=host.releases[0].name, snapshot=True)
    assert host.file == "two"
