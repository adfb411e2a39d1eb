"""What belongs to the control machine: paths, secrets, Prefect's address.

Read from the environment (`MESHKEEPER_…`) and from a file `meshkeeper.env` beside the site file.
"""

import os
import stat
from pathlib import Path
from typing import Annotated

import yaml
from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.errors import BadInput
from infra.model.site import SecretRef

ENV_FILE = "meshkeeper.env"
#: Every process of a control plane carries this variable with the plane's state directory, and
#: passes it on to what it starts: so its remains are found after a crash.
CONTROL_PLANE_MARK = "MESHKEEPER_CONTROL_PLANE"
PREFIX = "MESHKEEPER_"
SECRET_PREFIX = f"{PREFIX}SECRET_"


class Settings(BaseSettings):
    """Settings of the control machine; each can be given as MESHKEEPER_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    site: Path = Path("site.yaml")
    state_dir: Path = Path("~/.local/state/meshkeeper")
    secrets_file: Path | None = None
    ssh_key: Path | None = None
    previous_ssh_key: Path | None = None
    backup_ssh_key: Path | None = None
    #: Seconds for which a host stays locked after its run was killed.
    lease_seconds: Annotated[int, Field(ge=3, le=600)] = 60
    ui_port: Annotated[int, Field(ge=1, le=65_535)] = 4200

    @property
    def state(self) -> Path:
        """Where anchors, staging, logs and Prefect's home live."""
        return self.state_dir.expanduser().resolve()

    @property
    def prefect_home(self) -> Path:
        """Each control plane has a PREFECT_HOME of its own."""
        return self.state / "prefect"

    @property
    def prefect_temporary(self) -> Path:
        """Temporary files of a control plane: runs that were killed leave their workspaces."""
        return self.state / "tmp"

    @property
    def prefect_api_url(self) -> str:
        return f"http://127.0.0.1:{self.ui_port}/api"

    def site_dir(self, site: str) -> Path:
        """Anchor, known_hosts, canary and staging of one site (created, 0700)."""
        path = self.state / "sites" / site
        for folder in (self.make_state(), path.parent, path):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def make_state(self) -> Path:
        """The state directory (created, 0700). BadInput where there can be none."""
        try:
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise BadInput(
                f"The state directory {self.state} can't be made: {error.strerror}.",
                "Name another in MESHKEEPER_STATE_DIR.",
            ) from error
        return self.state


def load_settings(site_file: Path | None = None) -> Settings:
    """Settings for a site file: environment first, then `meshkeeper.env` beside the file.

    Raises BadInput.
    """
    path = site_file or Path(os.environ.get("MESHKEEPER_SITE", "site.yaml"))
    path = path.expanduser().resolve()
    _refuse_unknown(path.parent / ENV_FILE)
    try:
        settings = Settings(_env_file=path.parent / ENV_FILE, site=path)
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        raise BadInput(
            f"MESHKEEPER_{str(wrong['loc'][0]).upper()} can't be used: {wrong['msg']}.",
            f"It comes from the environment, or from {path.parent / ENV_FILE}.",
        ) from None
    # A worker starts elsewhere: what is relative is meant from the site file's folder.
    names = ("secrets_file", "ssh_key", "previous_ssh_key", "backup_ssh_key")
    files = {name: getattr(settings, name) for name in names}
    absolute = {name: path.parent / file.expanduser() for name, file in files.items() if file}
    return settings.model_copy(update=absolute)


def _refuse_unknown(env_file: Path) -> None:
    """Raises BadInput for a name that would be ignored in silence."""
    if not env_file.is_file():
        return
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in dotenv_values(env_file):
        if name.startswith(PREFIX) and name not in known:
            raise BadInput(
                f"{env_file}: there is no setting {name}.", f"There are: {', '.join(known)}."
            )


def read_secret(settings: Settings, reference: SecretRef) -> SecretStr:
    """A secret's value from MESHKEEPER_SECRET_<NAME> or the secrets file.

    Raises BadInput when it is missing, or when others can read the file.
    """
    variable = SECRET_PREFIX + reference.secret.upper()
    if value := os.environ.get(variable):
        return SecretStr(value)
    path = (settings.secrets_file or settings.state / "secrets.yaml").expanduser()
    value = _secrets(path).get(reference.secret) if path.exists() else None
    if not value:
        raise BadInput(
            f"The secret {reference.secret!r} is neither in ${variable} nor in {path}.",
            f"Add a line '{reference.secret}: …' to that file (mode 0600).",
        )
    return SecretStr(value)


def _secrets(path: Path) -> dict[str, str]:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadInput(f"Others can read {path}.", f"Run: chmod 600 {path}")
    try:
        loaded = yaml.safe_load(path.read_text()) or {}
    except yaml.MarkedYAMLError as error:
        # Its own text quotes the line, and so the secret.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{path} is not YAML: look at line {line}.") from None
    except (OSError, ValueError, yaml.YAMLError):
        raise BadInput(f"{path} can't be read as text, or is not YAML.") from None
    if not isinstance(loaded, dict):
        raise BadInput(f"{path} is not a list of 'name: value' lines.")
    return {str(name): str(value) for name, value in loaded.items()}
