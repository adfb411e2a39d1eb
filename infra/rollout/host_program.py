"""Runs on the host, as root, over standard input: keeps, writes and puts back a stack's files.

Standard library only, Python 3.11 or newer. A file is replaced whole or not at all. What was
there before a rollout is kept until its gate has passed; the mark beside the files says so, and
a rollout that finds it does not keep again: what it would keep is its predecessor's half.
"""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

KEPT = Path("/var/lib/meshkeeper/rollback")
PENDING = ".rollout-pending"

Request = dict[str, Any]


def keep(request: Request) -> None:
    """Keep files and image ids as they are, unless an unfinished rollout has done so."""
    folder = Path(request["directory"])
    make_folders(request)
    if (folder / PENDING).exists():
        return
    paths = [path for path in request["paths"] if (folder / path).is_file()]
    kept = {
        "files": {path: (folder / path).read_text() for path in paths},
        "images": {name: image_id(name) for name in request["images"]},
    }
    replace(kept_file(request), json.dumps(kept), 0o600)
    replace(folder / PENDING, "", 0o644)


def write(request: Request) -> None:
    for path, content in request["files"].items():
        replace(Path(request["directory"]) / path, content, 0o644)


def restore(request: Request) -> bool:
    """Put back what was kept; False if there was nothing before."""
    folder = Path(request["directory"])
    if not (folder / PENDING).exists():
        # Nothing was kept for this rollout, so nothing was written: what lies there is the state
        # of an earlier one, which has served.
        return any((folder / path).is_file() for path in request["paths"])
    kept = json.loads(kept_file(request).read_text())
    for path in request["paths"]:
        if path in kept["files"]:
            replace(folder / path, kept["files"][path], 0o644)
        else:
            (folder / path).unlink(missing_ok=True)
    for name, number in kept["images"].items():
        if number:
            subprocess.run(["docker", "tag", number, name], check=True)
    return bool(kept["files"])


def finish(request: Request) -> None:
    (Path(request["directory"]) / PENDING).unlink(missing_ok=True)


def make_folders(request: Request) -> None:
    """The admin's own folders on the way; then those of the stack, root's unless named."""
    admin = pwd.getpwnam(request["admin"])
    KEPT.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, mode in request["folders"].items():
        make_parents(Path(name), admin)
        Path(name).mkdir(exist_ok=True)
        os.chown(name, 0, admin.pw_gid)
        Path(name).chmod(mode)


def make_parents(folder: Path, admin: pwd.struct_passwd) -> None:
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755)
            os.chown(parent, admin.pw_uid, admin.pw_gid)


def kept_file(request: Request) -> Path:
    return KEPT / f"{request['stack']}.json"


def replace(path: Path, content: str, mode: int) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.chmod(mode)
    draft.replace(path)


def image_id(name: str) -> str:
    asked = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", name],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def main(request: Request) -> None:
    steps = {"keep": keep, "write": write, "restore": restore, "finish": finish}
    json.dump(steps[request["step"]](request), sys.stdout)
