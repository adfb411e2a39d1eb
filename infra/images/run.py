"""Run one build command with its output in a log file."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import ImageUnavailable

TIMEOUT_SECONDS = 1800
LAST_BYTES = 400


@dataclass(frozen=True)
class BuildCommand:
    """`what` names the thing built, for the error; `output` takes standard output if given."""

    what: str
    argv: Sequence[str]
    log: Path
    directory: Path | None = None
    environment: Mapping[str, str] | None = None
    output: Path | None = field(default=None)


def run_build(command: BuildCommand) -> None:
    """Run it to its end; raise `ImageUnavailable` with the log's last line if it fails."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("wb") as log, (command.output or command.log).open("ab") as output:
        try:
            status = subprocess.run(
                command.argv,
                cwd=command.directory,
                env=command.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                timeout=TIMEOUT_SECONDS,
                check=False,
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise cannot_build(command.what, str(error), command.log) from error
    if status != 0:
        raise cannot_build(command.what, _last_line(command.log), command.log)


def cannot_build(what: str, why: str, log: Path) -> ImageUnavailable:
    return ImageUnavailable(
        f"{what} can be neither pulled nor built: {why}.",
        f"Check that a container registry or the package indexes answer; the log is {log}.",
    )


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-LAST_BYTES:].decode(errors="replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "the command failed without a word"
