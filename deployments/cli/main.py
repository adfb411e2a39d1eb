"""The command line: parse, run one command, show its answer, end with its exit code."""

import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module

from deployments.cli.answer import Answer, show, show_error
from deployments.cli.arguments import parse
from infra.errors import CouldNotRun, MeshkeeperError

#: Where each command stands. Imported only when asked for, so that every command starts fast.
MODULES = {
    "init": "init",
    "doctor": "doctor",
    "plan": "plan",
    "up": "control",
    "down": "control",
    "status": "control",
    "provision": "flow",
    "rollout": "flow",
    "rollback": "rollback",
    "backup": "flow",
    "drill": "flow",
    "rehearse": "flow",
    "audit": "flow",
    "outdated": "outdated",
    "device-key": "device_key",
    "unlock": "unlock",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code (the table in `meshkeeper --help`)."""
    parsed = parse(arguments)
    try:
        answer = _command(parsed.command)(parsed)
    except MeshkeeperError as error:
        show_error(error, as_json=parsed.json)
        return error.exit_code
    except (OSError, subprocess.SubprocessError) as error:
        show_error(CouldNotRun(f"This machine refused: {error}."), as_json=parsed.json)
        return CouldNotRun.exit_code
    except KeyboardInterrupt:
        text = (
            "interrupted; a run that has begun goes on in the control plane ('meshkeeper status')"
        )
        print(f"meshkeeper: {text}", file=sys.stderr)
        return 3
    show(answer, as_json=parsed.json)
    return answer.exit_code


def _command(name: str) -> Callable[[Namespace], Answer]:
    module = import_module(f"deployments.cli.{MODULES[name]}")
    function: Callable[[Namespace], Answer] = module.run
    return function


if __name__ == "__main__":
    sys.exit(main())
