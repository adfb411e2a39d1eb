"""A systemd user unit that starts the control plane at boot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.errors import CouldNotRun
from infra.settings import Settings

NAME = "meshkeeper.service"


def render_unit(settings: Settings, path: str) -> str:
    """The unit's text; `path` is the $PATH on which restic and docker are found."""
    command = f"{sys.executable} -m deployments.cli.main"
    return f"""\
[Unit]
Description=meshkeeper's control plane: Prefect server, UI and worker
After=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
Environment="MESHKEEPER_SITE={settings.site}"
Environment="MESHKEEPER_STATE_DIR={settings.state}"
Environment="PATH={path}"
ExecStart={command} up
ExecStop={command} down
TimeoutStartSec=300

[Install]
WantedBy=default.target
"""


def install_unit(settings: Settings) -> Path:
    """Write and enable the unit, also without a login; its path.

    Raises CouldNotRun where no systemd serves this user.
    """
    home = Path(os.environ.get("XDG_CONFIG_HOME", "~/.config")).expanduser()
    unit = home / "systemd" / "user" / NAME
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(render_unit(settings, os.environ.get("PATH", os.defpath)))
    for command in (
        ["systemctl", "--user", "daemon-reload"],
        ["systemctl", "--user", "enable", NAME],
        ["loginctl", "enable-linger"],
    ):
        _run(command, unit)
    return unit


def _run(command: list[str], unit: Path) -> None:
    hint = f"The unit is written: {unit}. Run '{' '.join(command)}' as a user with a systemd login."
    if shutil.which(command[0]) is None:
        raise CouldNotRun(f"There is no {command[0]} on this machine.", hint)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise CouldNotRun(f"'{' '.join(command)}' failed: {done.stderr.strip()[:300]}.", hint)
