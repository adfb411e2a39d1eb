"""The lab's directory: the site file and what a control machine has beside it.

The site file is the only place where the lab differs from a real site.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from deployments.lab.acme import directory_url
from deployments.lab.keys import ensure_ssh_key
from deployments.lab.plan import LabPlan
from deployments.lab.relay import map_url
from deployments.lab.vps import Delivered
from infra.access.anchor import write_private
from infra.model.site import Site
from infra.settings import ENV_FILE

#: What to change in a site file's content.
Edit = Callable[[dict[str, Any]], object]

USERS = ["augusto"]
HEADER = "# The lab's site, written by `make lab`: a lab is a site like any other.\n"


def write_site(plan: LabPlan, vps: Delivered) -> None:
    """Write the site file, the settings beside it, and a restic password if there is none."""
    values = site_values(plan, vps)
    Site.model_validate(values)
    _write_if_new(plan.site_file.name, plan, HEADER + yaml.safe_dump(values, sort_keys=False))
    _write_if_new(ENV_FILE, plan, _environment(plan))
    plan.state.mkdir(mode=0o700, exist_ok=True)
    secrets_file = plan.state / "secrets.yaml"
    if not secrets_file.exists():
        write_private(secrets_file, f"restic_password: {secrets.token_urlsafe(32)}\n".encode())


def site_values(plan: LabPlan, vps: Delivered) -> dict[str, Any]:
    """The site file's content."""
    host = {
        "address": vps.address,
        "admin_keys": [ensure_ssh_key(plan.ssh_key)],
        "backup_keys": [ensure_ssh_key(plan.backup_ssh_key)],
        "host_key": vps.fingerprint,
    }
    headscale = {
        "host": "vps",
        "base_domain": f"mesh.{plan.domain}",
        "users": USERS,
        "nameservers": [plan.place("dns")],
        "derp": {"maps": [map_url()]},
    }
    caddy = {
        "host": "vps",
        "acme_directory": directory_url(),
        "acme_root": str(plan.directory / "ca/root.pem"),
    }
    return {
        "domain": plan.domain,
        "hosts": {"vps": host},
        "stacks": {"headscale": headscale, "caddy": caddy},
        "backup": {
            "repository": str(plan.directory / "repository"),
            "password": {"secret": "restic_password"},
        },
        "network": {"resolver": plan.place("dns"), "extra_root": str(plan.roots)},
    }


def _environment(plan: LabPlan) -> str:
    settings = {
        "STATE_DIR": plan.state,
        "SSH_KEY": plan.ssh_key,
        "BACKUP_SSH_KEY": plan.backup_ssh_key,
        "UI_PORT": plan.ui_port,
    }
    return "".join(f"MESHKEEPER_{name}={value}\n" for name, value in settings.items())


def _write_if_new(name: str, plan: LabPlan, content: str) -> None:
    path = plan.directory / name
    if not path.exists() or path.read_text() != content:
        write_private(path, content.encode())


@contextmanager
def edited(site_file: Path, edit: Edit) -> Iterator[None]:
    """The site file as `edit` wants it, and afterwards as it was."""
    before = site_file.read_text()
    values = yaml.safe_load(before)
    edit(values)
    site_file.write_text(yaml.safe_dump(values))
    try:
        yield
    finally:
        site_file.write_text(before)
