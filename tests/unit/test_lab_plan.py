"""Where labs lie, and what their site file says."""

from itertools import permutations
from pathlib import Path

import pytest

from deployments.lab.plan import HOMES, NETWORKS, PLACES, PLANS, LabPlan
from deployments.lab.site import site_values, write_site
from deployments.lab.vps import Delivered
from infra.model.site import Site
from infra.settings import load_settings, read_secret
from infra.site_file import load_site

DELIVERED = Delivered(address="10.1.0.10", fingerprint="SHA256:" + "a" * 43)


@pytest.fixture
def plan(tmp_path: Path) -> LabPlan:
    return LabPlan(prefix="mk-unit", subnet="10.1", ui_port=4999, directory=tmp_path)


@pytest.mark.parametrize(("one", "other"), list(permutations(PLANS.values(), 2)))
def test_two_labs_share_nothing(one: LabPlan, other: LabPlan) -> None:
    assert not f"{one.prefix}-".startswith(f"{other.prefix}-")
    assert one.subnet != other.subnet
    assert one.ui_port != other.ui_port
    assert not one.directory.is_relative_to(other.directory)


def test_no_two_parts_have_the_same_address(plan: LabPlan) -> None:
    routers = [plan.address("internet", 20 + NETWORKS[home]) for home in HOMES.values()]
    addresses = [plan.place(part) for part in PLACES] + routers
    assert len(set(addresses)) == len(addresses)


def test_the_labs_site_is_a_site_like_any_other(plan: LabPlan) -> None:
    site = Site.model_validate(site_values(plan, DELIVERED))
    assert site.hosts["vps"].host_key == DELIVERED.fingerprint
    assert str(site.network.resolver) == plan.place("dns")
    assert site.network.extra_root is not None


def test_the_written_site_settings_and_secret_are_read_back(
    plan: LabPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATE_DIR", "SSH_KEY", "BACKUP_SSH_KEY", "UI_PORT", "SITE"):
        monkeypatch.delenv(f"MESHKEEPER_{name}", raising=False)
    write_site(plan, DELIVERED)
    settings = load_settings(plan.site_file)
    site = load_site(plan.site_file)
    assert settings.state == plan.state
    assert settings.ui_port == plan.ui_port
    assert settings.ssh_key == plan.ssh_key
    assert settings.backup_ssh_key == plan.backup_ssh_key
    assert len(read_secret(settings, site.backup.password).get_secret_value()) >= 32


def test_writing_again_keeps_key_and_password(plan: LabPlan) -> None:
    write_site(plan, DELIVERED)
    files = [plan.ssh_key, plan.backup_ssh_key, plan.state / "secrets.yaml", plan.site_file]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    write_site(plan, DELIVERED)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before


def test_secrets_of_the_lab_are_for_their_owner_only(plan: LabPlan) -> None:
    write_site(plan, DELIVERED)
    for path in (plan.ssh_key, plan.backup_ssh_key, plan.state / "secrets.yaml"):
        assert path.stat().st_mode & 0o077 == 0
