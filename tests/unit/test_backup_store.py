"""Where snapshots may lie, and which are still wanted there."""

from pathlib import Path

import pytest

from infra.access.restic import Stored
from infra.backup.staging import staging, workplace
from infra.backup.store import expire, lacking, site_repository, snapshot_id
from infra.errors import BackupFailed, BadInput, CouldNotRun, RepositoryUnavailable
from infra.model.site import Site
from infra.settings import Settings

STORED = Stored.model_validate({"id": "c0ffee" * 8, "time": "2026-11-23T10:00:00Z"})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MESHKEEPER_SECRET_RESTIC_PASSWORD", "a secret")
    return Settings(site=tmp_path / "home" / "site.yaml", state_dir=tmp_path / "state")


def site(repository: str) -> Site:
    return Site.model_validate(
        {
            "domain": "cronova.test",
            "hosts": {"vps": {"address": "192.0.2.7", "admin_keys": ["ssh-ed25519 AAAA me"]}},
            "stacks": {
                "headscale": {"host": "vps", "base_domain": "mesh.cronova.test"},
                "caddy": {"host": "vps"},
            },
            "backup": {"repository": repository, "password": {"secret": "restic_password"}},
        }
    )


@pytest.mark.parametrize(
    "location",
    [
        "rest:https://192.0.2.7:8000/mesh/",
        "rest:http://me@192.0.2.7/",
        "sftp:linuxuser@192.0.2.7:/backups",
        "sftp://linuxuser@192.0.2.7:2222//backups",
        "s3:https://hs.cronova.test/bucket",
        "s3:CRONOVA.test/bucket",
    ],
)
def test_a_repository_on_the_host_itself_is_refused(settings: Settings, location: str) -> None:
    with pytest.raises(BadInput, match="one of the site's own hosts") as refused:
        site_repository(settings, site(location))
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize(
    "location", ["rest:https://192.0.2.8:8000/", "sftp:me@192.0.2.8:/x", "s3:192.0.2.8/bucket"]
)
def test_a_repository_elsewhere_is_taken_as_it_is(settings: Settings, location: str) -> None:
    assert site_repository(settings, site(location)).location == location


def test_a_path_is_meant_from_the_site_file(settings: Settings, tmp_path: Path) -> None:
    assert site_repository(settings, site("mesh")).location == str(tmp_path / "home" / "mesh")
    assert site_repository(settings, site("/mnt/mesh")).location == "/mnt/mesh"
    assert site_repository(settings, site("~/mesh")).location == str(Path.home() / "mesh")


def test_what_is_newer_than_the_newest_stored_is_wanted_oldest_first() -> None:
    on_host = ["20261123T130000Z", "20261123T100000Z", "20261123T120000Z", "20261123T110000Z"]
    stored = ["20261123T090000Z", "20261123T110000Z"]
    assert lacking(on_host, stored) == ["20261123T120000Z", "20261123T130000Z"]
    assert lacking(on_host, []) == sorted(on_host)
    assert lacking([], stored) == []


class AppendOnly:
    """A repository whose server lets nothing be removed, or whose password is another."""

    def __init__(self, *, opens: bool) -> None:
        self._opens = opens

    def forget(self, *_: object) -> tuple[Stored, ...]:
        raise RepositoryUnavailable("restic forget failed with exit code 1: 403 Forbidden")

    def snapshots(self, *_: object) -> tuple[Stored, ...]:
        if not self._opens:
            raise RepositoryUnavailable("The password does not open the restic repository.")
        return (STORED,)


def test_a_retention_that_can_not_be_applied_keeps_no_new_snapshot_out() -> None:
    stored, problem = expire(AppendOnly(opens=True), site("mesh"), may_create=False)  # type: ignore[arg-type]
    assert stored == (STORED,)
    assert "403 Forbidden" in problem
    with pytest.raises(RepositoryUnavailable, match="password"):
        expire(AppendOnly(opens=False), site("mesh"), may_create=False)  # type: ignore[arg-type]


def test_what_the_retention_let_go_does_not_come_back() -> None:
    assert lacking(["20261123T100000Z"], ["20261123T090000Z", "20261123T110000Z"]) == []


@pytest.mark.parametrize("tags", [(), ("snapshot=x",), ("snapshot=../20261123T100000Z",)])
def test_a_stored_snapshot_without_an_id_is_told(tags: tuple[str, ...]) -> None:
    stored = Stored.model_validate(
        {"id": "c0ffee" * 8, "time": "2026-11-23T10:00:00Z", "tags": tags}
    )
    with pytest.raises(BackupFailed, match="c0ffeec0 carries no tag"):
        snapshot_id(stored)


def test_two_runs_of_one_site_do_not_meet(settings: Settings) -> None:
    with staging(settings, "a.test"), staging(settings, "b.test"):
        second = staging(settings, "a.test")
        with pytest.raises(CouldNotRun, match=r"Another backup of a\.test is running"):
            second.__enter__()
    with staging(settings, "a.test"):
        pass


def test_what_a_killed_run_left_is_gone_and_nothing_is_left_behind(settings: Settings) -> None:
    with staging(settings, "a.test") as folder:
        pass
    (folder / "20261123T100000Z").mkdir()

    with staging(settings, "a.test") as folder, workplace(folder, "20261123T110000Z") as places:
        assert [path.name for path in folder.iterdir()] == ["20261123T110000Z"]
        assert {path.stat().st_mode & 0o777 for path in (folder, *places)} == {0o700}
    assert list(folder.iterdir()) == []
