"""Runs on the host, as root: makes a stack's releases, and goes back to one.

The modules of this package are joined to one program and sent over standard input, so it needs
nothing but Python there (3.11 or newer). A release appears whole or not at all (`places.py`).
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.rollout.host_program.data import (
    exchange_data,
    has_changed_data,
    keep_data,
    mend_data,
    restore_data,
)
from infra.rollout.host_program.difference import difference
from infra.rollout.host_program.disk import make_folders, replace
from infra.rollout.host_program.files import put_files
from infra.rollout.host_program.images import put_images
from infra.rollout.host_program.places import (
    BEFORE,
    EXCHANGING,
    HOME,
    KEPT,
    Request,
    beside_data,
    home,
    pending,
)
from infra.rollout.host_program.releases import (
    about,
    adopt,
    all_releases,
    contents,
    discard,
    files_of,
    made,
    point_at,
    remove,
    serving,
    unfinished,
    wanted_files,
    wanted_images,
)

#: The file descriptor by which the check of the host's lock (infra/access/lock_check.py) tells that a
#: change is at work.
CHANGING = 9


def prepare(request: Request) -> None:
    """Make a release of the files given, or anew of an earlier one, and put its files in place."""
    mend_data(request)
    make_folders(request)
    if not pending(request).exists():
        for release in unfinished(request):
            discard(release)  # killed before it changed anything
        adopt(request)
    old = unfinished(request)
    new = made(request, wanted_files(request), wanted_images(request), keep_data)
    replace(pending(request), b"", 0o644)
    put_files(
        request, contents(new), instead_of=files_of([*filter(None, [serving(request)]), *old])
    )
    remove(old)
    if request["release"]:
        put_images(about(new)["images"])


def exchange(request: Request) -> None:
    """Put the data in place that lay before an earlier release, `data_of`, was brought."""
    newest = unfinished(request)[-1]
    # It stays until the gate: whoever finds it knows that the data are not those of the present.
    replace(newest / EXCHANGING, b"", 0o600)
    exchange_data(request, home(request) / request["data_of"] / BEFORE)


def restore(request: Request) -> dict[str, Any]:
    """Back to the release that serves: files, image names, and the data where they were kept."""
    before = serving(request)
    left = unfinished(request)
    if not pending(request).exists() or not left:
        # Nothing was written for this rollout: what lies there is the state of an earlier one.
        put_images(about(before)["images"] if before else {})
        lies_there = any((Path(request["directory"]) / path).is_file() for path in request["paths"])
        return {"back": before is not None or lies_there, "data_of": None, "diff": ""}
    served, failed = contents(before) if before else {}, contents(left[-1])
    data_of = restore_data(request, left[-1]) if has_changed_data(request, left[-1]) else None
    put_files(request, served, instead_of=files_of(left))
    put_images(about(before)["images"] if before else {})
    diff = difference(served, failed) if before else ""
    return {"back": before is not None, "data_of": data_of, "diff": diff}


def commit(request: Request) -> None:
    """The gate has passed: from now on this is the release to come back to."""
    releases = all_releases(request)
    point_at(releases[-1])
    pending(request).unlink(missing_ok=True)
    (releases[-1] / EXCHANGING).unlink(missing_ok=True)
    shutil.rmtree(beside_data(request, "failed"), ignore_errors=True)
    remove(releases[: -1 - KEPT])


def drop(request: Request) -> None:
    """The old release serves again: the one that did not is gone, its data stay beside for once."""
    pending(request).unlink(missing_ok=True)
    remove(unfinished(request))


def main(request: Request) -> None:
    steps = {
        "prepare": prepare,
        "exchange": exchange,
        "restore": restore,
        "commit": commit,
        "drop": drop,
    }
    HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
    home(request).mkdir(exist_ok=True, mode=0o700)
    # What the run began over a connection that was cut may still be at work: its end is waited for,
    # in this order, since whoever waits for `.lock` lets nobody wait for them.
    with suppress(OSError):  # nobody holds the host's lock: it is not open
        fcntl.flock(CHANGING, fcntl.LOCK_EX)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        json.dump(steps[request["step"]](request), sys.stdout)
