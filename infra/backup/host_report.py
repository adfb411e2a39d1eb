"""Runs on the host (fed to python3 as root; standard library only): a fresh snapshot, and what is
there. Prints one JSON object, infra.backup.collect.HostReport. Argument: the backup folder.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

SIDECAR = "headscale-backup"
SNAPSHOT = re.compile(r"^[0-9]{8}T[0-9]{6}Z\.tar$")
#: Newest snapshots that are told; a year of hourly ones would be 8,760.
MOST = 10_000


def main(folder: Path) -> None:
    last_error = beginning(folder / "last-error")  # before a success of ours removes it
    fresh = docker("exec", SIDECAR, "python3", "/backup/snapshot.py", timeout=120)
    state = docker("inspect", "-f", "{{json .State}}", SIDECAR, timeout=20)
    sidecar = json.loads(state.stdout) if state.returncode == 0 else {}
    report = {
        "fresh": fresh.stdout.strip() if fresh.returncode == 0 else None,
        "fresh_error": fresh.stderr.strip()[-500:] if fresh.returncode else "",
        "snapshots": snapshots(folder),
        "last_error": last_error,
        "last_own": beginning(folder / "last-own") or None,
        "sidecar": sidecar.get("Status", "missing"),
        "sidecar_started": sidecar.get("StartedAt"),
        "now": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    print(json.dumps(report))


def docker(*arguments: str, timeout: int) -> "subprocess.CompletedProcess[str]":
    command = ("docker", *arguments)
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def snapshots(folder: Path) -> "dict[str, int]":
    """Bytes by id, of the newest."""
    found = sorted(path for path in folder.glob("*.tar") if SNAPSHOT.match(path.name))[-MOST:]
    return {path.stem: path.stat().st_size for path in found}


def beginning(path: Path) -> str:
    try:
        with path.open(errors="replace") as stream:
            return stream.read(600).strip()
    except FileNotFoundError:
        return ""


main(Path(sys.argv[1]))
