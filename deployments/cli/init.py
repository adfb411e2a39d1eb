"""`init`: an annotated site file, its schema, and a secrets file with a new restic password."""

import os
import secrets
from argparse import Namespace
from pathlib import Path

from deployments.cli.answer import Answer
from deployments.cli.schema import EXAMPLE, SCHEMA
from infra.errors import BadInput, CouldNotRun
from infra.settings import Settings, load_settings

#: As the example names it.
_PASSWORD = "restic_password"  # noqa: S105 (a name, no value)


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    if settings.site.exists():
        raise _exists(settings.site)
    secrets_file, made = _ensure_password(settings)
    _write_new(settings.site, EXAMPLE.read_text(), 0o644)
    schema = settings.site.with_name(SCHEMA.name)
    schema.write_text(SCHEMA.read_text())
    steps = _next_steps(settings.site, secrets_file, made=made)
    data = {"site": settings.site, "schema": schema, "secrets_file": secrets_file, "made": made}
    return Answer(steps, data)


def _ensure_password(settings: Settings) -> tuple[Path, bool]:
    """The secrets file, and whether a password was made: an existing one is never touched."""
    path = (settings.secrets_file or settings.make_state() / "secrets.yaml").expanduser()
    line = f"{_PASSWORD}: {secrets.token_urlsafe(32)}\n"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_new(path, f"# Secrets of meshkeeper, by name. Keep a copy on paper.\n{line}", 0o600)
        return path, True
    text = path.read_text()
    if any(found.startswith(f"{_PASSWORD}:") for found in text.splitlines()):
        return path, False
    path.chmod(0o600)
    path.write_text(text + ("" if text.endswith("\n") else "\n") + line)
    return path, True


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that must not exist yet, with its mode from the first byte on."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise CouldNotRun(f"{path} can't be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _exists(path: Path) -> BadInput:
    return BadInput(f"{path} exists and is left as it is.", "Name another with --site FILE.")


def _next_steps(site: Path, secrets_file: Path, *, made: bool) -> str:
    password = "a new restic password" if made else "your restic password, as it was"
    return f"""\
{site}: the site, annotated
{secrets_file}: {password}. Keep a copy on paper: without it no backup can be read.

Next:
  1. Edit {site.name}: domain, address, host key, your public key, your users.
  2. meshkeeper doctor      says what is still missing
  3. meshkeeper up          starts the control plane and its schedules
  4. meshkeeper provision   then: meshkeeper rollout, backup, drill"""
