"""A stack's data: kept before what may change them, and put back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tarfile
from pathlib import Path
from typing import IO

from infra.rollout.host_program.archive import manifest_text, member, sizes
from infra.rollout.host_program.disk import free, replace, size, sync
from infra.rollout.host_program.images import docker
from infra.rollout.host_program.places import (
    AS_IT_LAY,
    BEFORE,
    EXCHANGING,
    ID,
    Request,
    beside_data,
    data,
    pending,
)
from infra.rollout.host_program.releases import about, serving, unfinished


def keep_data(request: Request, draft: Path) -> None:
    """The data before the first change that may touch them, by the sidecar's own program."""
    left = unfinished(request)
    begun = left[-1] if left and pending(request).exists() else None
    if begun and keeps_data(begun) and has_changed_data(request, begun):
        inherit(begun, draft)  # what lies there may be half a migration, or another release's
    elif may_change_data(request, draft) and (data(request) / request["database"]).exists():
        try:
            take_snapshot(request, draft / BEFORE)
        except SystemExit:
            # A server that does not run is what one goes back for; of a new version it stops all.
            if not request["release"] or served_by(request, serving(request)):
                raise
            keep_as_they_lie(request, draft)


def keeps_data(release: Path) -> bool:
    return (release / BEFORE).exists() or (release / AS_IT_LAY).exists()


def inherit(begun: Path, draft: Path) -> None:
    """The data from before a release that did not come to its gate, for the one in its place."""
    if (begun / BEFORE).exists():
        os.link(begun / BEFORE, draft / BEFORE)
    if (begun / AS_IT_LAY).exists():
        copy_files(begun / AS_IT_LAY, draft / AS_IT_LAY)
    if (begun / EXCHANGING).exists():
        replace(draft / EXCHANGING, b"", 0o600)


def may_change_data(request: Request, draft: Path) -> bool:
    server, current = request["server"], serving(request)
    if not server or not current:
        return False
    return bool(request["snapshot"]) or server_image(current, server) != server_image(draft, server)


def server_image(release: Path, server: str) -> str:
    told = about(release)
    return str(told["images"].get(told["containers"].get(server), ""))


def served_by(request: Request, release: Path | None) -> bool:
    """Whether the release's own server runs, so that the data are its own."""
    server = request["server"]
    if not server or not release:
        return False
    asked = docker(
        "inspect", "--type", "container", "--format", "{{.State.Running}} {{.Image}}", server
    )
    return asked.stdout.split() == ["true", server_image(release, server)]


def take_snapshot(request: Request, target: Path) -> None:
    taken = docker("exec", request["sidecar"], "python3", "/backup/snapshot.py")
    name = taken.stdout.strip()
    if taken.returncode or not ID.fullmatch(name):
        why = taken.stderr.strip()[-500:] or "it does not say why"
        sys.exit(f"no snapshot of the data could be made, so nothing was touched: {why}")
    # The sidecar writes there, so no link is followed and nothing waited for; a copy is out of its reach.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    source = os.open(Path(request["backups"]) / f"{name}.tar", flags)
    with os.fdopen(source, "rb") as snapshot, target.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            sys.exit(f"the snapshot {name} is no file: nothing was touched")
        shutil.copyfileobj(snapshot, copy)
        os.fsync(copy.fileno())
    require_whole(request, target)


def keep_as_they_lie(request: Request, draft: Path) -> None:
    """The whole folder of a stack that is stopped for it: without a manifest, and nothing is lost."""
    (draft / BEFORE).unlink(missing_ok=True)
    require_room(request, size(data(request)))
    stop(request)
    copy_files(data(request), draft / AS_IT_LAY)


def has_changed_data(request: Request, release: Path) -> bool:
    """Whether the data may be others than those from before a release that did not serve."""
    return (release / EXCHANGING).exists() or not served_by(request, serving(request))


def require_whole(request: Request, archive: Path) -> None:
    """The manifest comes first, with what is asked of it later; each file of the data is as it says."""
    manifest = json.loads(manifest_text(archive))
    if not all(isinstance(manifest.get(word), str) for word in ("id", "image")):
        sys.exit("the snapshot's manifest lacks its id or image: nothing was touched")
    with tarfile.open(archive, "r:") as tar:
        told = manifest["files"]
        for name in held(request):
            if digest(member(tar, name)) != told[name]["sha256"]:
                sys.exit(f"the snapshot's {name} is not as its manifest says: nothing was touched")


def held(request: Request) -> tuple[str, ...]:
    """The files that each snapshot holds, as the stack declares them."""
    return request["database"], *request["holds"]


def digest(stream: IO[bytes]) -> str:
    found = hashlib.sha256()
    while block := stream.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def restore_data(request: Request, release: Path) -> str | None:
    """The data from before a release, if it may have touched them; the id of their snapshot."""
    archive, folder = release / BEFORE, release / AS_IT_LAY
    if not archive.exists() and not folder.exists():
        return None
    replace(release / EXCHANGING, b"", 0o600)
    if folder.exists():
        require_room(request, size(folder))
        stop(request)
        put_in_place(request, copy_files(folder, beside_data(request, "new")))
    else:
        exchange_data(request, archive)
    (release / EXCHANGING).unlink()
    if folder.exists():
        return None
    return str(json.loads(manifest_text(archive))["id"])


def mend_data(request: Request) -> None:
    """End what was killed while it exchanged the data: those from before are the right ones.

    Where the release's own server runs it has gone on with what lies there: nobody takes that away.
    """
    left = unfinished(request)
    if left and (left[-1] / EXCHANGING).exists() and not served_by(request, left[-1]):
        restore_data(request, left[-1])


def exchange_data(request: Request, archive: Path) -> None:
    """Replace the whole folder: an old WAL would poison the database. The other stays beside it."""
    folder = data(request)
    there = folder if folder.exists() else beside_data(request, "failed")
    require_room(request, size(there) + sum(sizes(archive).values()))
    stop(request)  # before its files are copied: it could put a link in their place
    new = copy_files(there, beside_data(request, "new"), without=Path(request["database"]).name)
    with tarfile.open(archive, "r:") as tar:
        for name in held(request):
            replace(new / name, member(tar, name), 0o600)
    put_in_place(request, new)


def require_room(request: Request, needed: int) -> None:
    """Before anything is stopped: a full disk takes no server away. `needed`: bytes."""
    shutil.rmtree(beside_data(request, "new"), ignore_errors=True)  # of one that was killed
    there = free(Path(request["directory"]))
    if needed > there:
        sys.exit(f"no room for the data: {needed} bytes are needed, and {there} are left")


def copy_files(folder: Path, target: Path, without: str = "") -> Path:
    """The folder's files at `target`, but those whose names begin with `without`.

    Containers write there: what is neither file nor folder would lead root elsewhere, and stays out.
    """

    def left_out(place: str, names: list[str]) -> set[str]:
        return {
            name
            for name in names
            if (without and name.startswith(without)) or not is_plain(Path(place, name))
        }

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700)  # before there is a key in it
    shutil.copytree(folder, target, ignore=left_out, dirs_exist_ok=True)
    return target


def is_plain(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def put_in_place(request: Request, new: Path) -> None:
    """`new` becomes the data; what lay there stays beside them."""
    folder, failed = data(request), beside_data(request, "failed")
    if folder.exists():
        shutil.rmtree(failed, ignore_errors=True)
        folder.rename(failed)
    new.rename(folder)
    sync(folder.parent)


def stop(request: Request) -> None:
    label = f"label=com.docker.compose.project={request['stack']}"
    running = docker("ps", "--quiet", "--filter", label).stdout.split()
    if running and docker("stop", "-t", "20", *running).returncode:
        sys.exit(f"{request['stack']} could not be stopped, so its data were left as they are")
