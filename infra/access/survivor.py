"""Starts a process that outlives us for a moment, to clear away what must not."""

import os
import subprocess
import sys

from infra.settings import CONTROL_PLANE_MARK


def start_survivor(module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Run `python -m MODULE` with a pipe as its input: however we end, that end of it closes.

    It is in no session of ours, and without the mark by which `meshkeeper down` finds all
    processes of the control plane to end them.
    """
    environment = {name: v for name, v in os.environ.items() if name != CONTROL_PLANE_MARK}
    return subprocess.Popen(
        # Without the current directory, where anybody's yaml.py may lie.
        [sys.executable, "-P", "-m", module, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
