"""Who logs in for a backup: the account that can do nothing else, where the site declares keys."""

from pathlib import Path

import pytest

from deployments.cli.schema import EXAMPLE
from infra.access.login import admin_login, backup_login, first_login, rotating_login
from infra.errors import BadInput
from infra.model.site import Jump, Site
from infra.settings import Settings
from infra.site_file import load_site

KEY = "ssh-ed25519 AAAAbackup backup@home"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path, ssh_key=tmp_path / "admin", backup_ssh_key=tmp_path / "backup"
    )


@pytest.fixture
def site() -> Site:
    example = load_site(EXAMPLE)
    host = example.hosts["vps"].model_copy(update={"backup_keys": (KEY,)})
    return example.model_copy(update={"hosts": {"vps": host}})


def test_without_declared_keys_a_backup_logs_in_as_the_admin(settings: Settings) -> None:
    example = load_site(EXAMPLE)
    assert backup_login(settings, example, "vps") == admin_login(settings, example, "vps")


def test_with_declared_keys_the_admins_key_is_not_used(settings: Settings, site: Site) -> None:
    login, admin = backup_login(settings, site, "vps"), admin_login(settings, site, "vps")
    assert (login.user, login.key_file) == ("meshkeeper-backup", settings.backup_ssh_key)
    assert (login.address, login.port, login.known_hosts) == (
        admin.address,
        admin.port,
        admin.known_hosts,
    )
    assert "hosts.vps.backup_keys" in login.key_advice


def test_declared_keys_without_a_private_one_here_are_refused(
    settings: Settings, site: Site
) -> None:
    """The admin's key in its place would be what the site's owner wanted to end."""
    with pytest.raises(BadInput, match=r"hosts\.vps\.backup_keys") as refused:
        backup_login(settings.model_copy(update={"backup_ssh_key": None}), site, "vps")
    assert "MESHKEEPER_BACKUP_SSH_KEY" in refused.value.hint


def test_a_host_that_the_site_does_not_have_is_refused(settings: Settings, site: Site) -> None:
    with pytest.raises(BadInput, match="no host 'nas'"):
        backup_login(settings, site, "nas")


def test_while_the_admins_key_is_rotated_only_provisioning_offers_the_previous_one(
    settings: Settings, site: Site
) -> None:
    jump = Jump(address="203.0.113.9", user="me")
    host = site.hosts["vps"].model_copy(update={"jump": jump})
    site = site.model_copy(update={"hosts": {"vps": host}})
    previous = settings.model_copy(update={"previous_ssh_key": settings.state / "old"})
    both = rotating_login(previous, site, "vps")
    assert both.jump is not None
    assert {both.previous_key_file, both.jump.previous_key_file} == {previous.previous_ssh_key}
    for login in (admin_login, backup_login, first_login):
        assert login(previous, site, "vps").previous_key_file is None
    assert rotating_login(settings, site, "vps") == admin_login(settings, site, "vps")
    assert "meshkeeper provision" in admin_login(previous, site, "vps").key_advice
