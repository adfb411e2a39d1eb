"""Runs on the host, as root, over standard input: makes a stack's releases, and goes back to one.

Standard library only, Python 3.11 or newer. A release is a folder that appears whole or not at all:

    releases/STACK/ID/files/        the rendered files
    releases/STACK/ID/release.json  the ids of its images
    releases/STACK/ID/before.tar    the data as it was before, where this release may have changed it
    releases/STACK/current          which one serves: the last whose gate has passed

Releases that are newer than `current` are unfinished, of which the newest counts. A mark beside the
stack's files says so to the next plan; it stands there from the first change until the gate.
"""

import fcntl
import hashlib
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import IO, Any

HOME = Path("/var/lib/meshkeeper/releases")
PENDING = ".rollout-pending"
#: Releases that are kept beside the one that serves.
KEPT = 5
BEFORE, ABOUT, FILES, CURRENT = "before.tar", "release.json", "files", "current"
#: In an unfinished release: its data are being exchanged, and `before.tar` holds the right ones.
EXCHANGING = "exchanging"
ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")

Request = dict[str, Any]


# The steps


def prepare(request: Request) -> None:
    """Make a release of the files given, or anew of an earlier one, and put its files in place."""
    mend_data(request)
    make_folders(request)
    if not pending(request).exists():
        for release in unfinished(request):
            shutil.rmtree(release)  # killed before it changed anything
        adopt(request)
    old = unfinished(request)
    new = made(request, wanted_files(request), wanted_images(request), keep_data)
    remove(old)
    replace(pending(request), b"", 0o644)
    put_files(request, contents(new))
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
        return {"back": before is not None or lies_there, "data_of": None}
    data_of = restore_data(request, left[-1])
    put_files(request, contents(before) if before else {}, instead_of=contents(left[-1]))
    put_images(about(before)["images"] if before else {})
    return {"back": before is not None, "data_of": data_of}


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


# Releases


def home(request: Request) -> Path:
    return HOME / str(request["stack"])


def pending(request: Request) -> Path:
    return Path(request["directory"]) / PENDING


def all_releases(request: Request) -> list[Path]:
    """Oldest first; without drafts."""
    return sorted(path for path in home(request).iterdir() if ID.fullmatch(path.name))


def serving(request: Request) -> Path | None:
    current = home(request) / CURRENT
    return home(request) / current.readlink() if current.is_symlink() else None


def unfinished(request: Request) -> list[Path]:
    current = serving(request)
    return [path for path in all_releases(request) if not current or path.name > current.name]


def about(release: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((release / ABOUT).read_text())
    return told


def contents(release: Path) -> dict[str, bytes]:
    folder = release / FILES
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def made(
    request: Request, files: dict[str, bytes], images: dict[str, str], keep: Any = None
) -> Path:
    """A new release, whole on the disk when it gets its name."""
    for left in home(request).glob("*.draft"):
        shutil.rmtree(left)
    final = home(request) / next_id(request)
    draft = final.with_name(f"{final.name}.draft")
    (draft / FILES).mkdir(parents=True, mode=0o700)
    for path, content in files.items():
        replace(draft / FILES / path, content, 0o600)
    told = {"images": images, "containers": request["containers"]}
    replace(draft / ABOUT, json.dumps(told).encode(), 0o600)
    if keep:
        keep(request, draft)
    draft.rename(final)
    sync(final.parent)
    return final


def next_id(request: Request) -> str:
    """The time, UTC; later than all others, also where the clock went back."""
    moment = time.time()
    newest = [release.name for release in all_releases(request)[-1:]]
    while (name := time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))) <= max(newest, default=""):
        moment += 1
    return name


def adopt(request: Request) -> None:
    """A release of what lies there, where it is none: of an earlier meshkeeper, or changed by hand."""
    current = serving(request)
    known = contents(current) if current else {}
    folder = Path(request["directory"])
    paths = {path for path in {*request["paths"], *known} if (folder / path).is_file()}
    there = {path: (folder / path).read_bytes() for path in paths}
    if there and there != known:
        point_at(made(request, there, running_images(request)))


def point_at(release: Path) -> None:
    draft = release.with_name(f".{CURRENT}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(release.name)
    draft.replace(release.with_name(CURRENT))
    sync(release.parent)


def remove(releases: list[Path]) -> None:
    """Remove releases, and the images that are needed by none that is left, of whatever stack."""
    images = {number for release in releases for number in about(release)["images"].values()}
    for release in releases:
        shutil.rmtree(release)
    for path in HOME.glob(f"*/*/{ABOUT}"):
        images -= set(about(path.parent)["images"].values())
    for number in filter(None, images):
        docker("image", "rm", number)  # refused where a container still needs it


# Files and images


def wanted_files(request: Request) -> dict[str, bytes]:
    if request["release"]:
        return contents(home(request) / request["release"])
    return {path: content.encode() for path, content in request["files"].items()}


def wanted_images(request: Request) -> dict[str, str]:
    """Ids by name. An earlier release's must be there still, or nothing is touched."""
    if not request["release"]:
        return {name: image_id(name) for name in request["containers"].values()}
    images: dict[str, str] = about(home(request) / request["release"])["images"]
    missing = [name for name, number in images.items() if not image_id(number)]
    if missing:
        sys.exit(
            f"the host no longer has {', '.join(missing)} of that release: nothing was touched"
        )
    return images


def put_files(
    request: Request, files: dict[str, bytes], instead_of: dict[str, bytes] | None = None
) -> None:
    """Each file whole, those that are so already not at all; others of a release's go."""
    folder = Path(request["directory"])
    current = serving(request)
    gone = instead_of if instead_of is not None else (contents(current) if current else {})
    for path, content in files.items():
        place = folder / path
        if not is_so(place, content):
            replace(place, content, 0o644)
    for path in gone.keys() - files.keys():
        (folder / path).unlink(missing_ok=True)


def is_so(path: Path, content: bytes) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    return stat.S_IMODE(path.stat().st_mode) == 0o644 and path.read_bytes() == content


def put_images(images: dict[str, str]) -> None:
    """Compose knows images by name."""
    for name, number in images.items():
        if number and image_id(name) != number and docker("tag", number, name).returncode:
            sys.exit(f"the host no longer has the image {number} that was {name}")


def image_id(name: str) -> str:
    asked = docker("image", "inspect", "--format", "{{.Id}}", name)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def running_images(request: Request) -> dict[str, str]:
    """Ids by name of what the containers were made from; a name may mean another image by now."""
    found: dict[str, str] = {}
    for container, name in request["containers"].items():
        asked = docker(
            "inspect", "--type", "container", "--format", "{{.Config.Image}} {{.Image}}", container
        )
        words = asked.stdout.split() if asked.returncode == 0 else []
        made_from, number = words if len(words) == 2 else (name, image_id(name))
        found[made_from] = number
    return found


def docker(*arguments: str, seconds: int = 150) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


# Data


def keep_data(request: Request, draft: Path) -> None:
    """The data before the first change that may touch them, by the sidecar's own program."""
    left = unfinished(request)
    inherited = left[-1] / BEFORE if left and pending(request).exists() else None
    if not served_by(request, serving(request)) and inherited and inherited.exists():
        os.link(inherited, draft / BEFORE)  # what lies there may be half a migration
    elif may_change_data(request, draft) and (data(request) / request["database"]).exists():
        take_snapshot(request, draft / BEFORE)


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
    # The sidecar writes there, so no link is followed; and a copy is out of its reach.
    source = os.open(Path(request["backups"]) / f"{name}.tar", os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(source, "rb") as snapshot, target.open("xb") as copy:
        shutil.copyfileobj(snapshot, copy)
        os.fsync(copy.fileno())
    require_whole(request, target)


def require_whole(request: Request, archive: Path) -> None:
    """Each file of the data as the manifest has it."""
    with tarfile.open(archive) as tar:
        told = json.load(member(tar, "manifest.json"))["files"]
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


def member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        sys.exit(f"{name} in the snapshot is no file")
    return stream


def restore_data(request: Request, release: Path) -> str | None:
    """The data from before a release, if it may have touched them; the id of their snapshot."""
    archive = release / BEFORE
    if not archive.exists():
        return None
    replace(release / EXCHANGING, b"", 0o600)
    exchange_data(request, archive)
    (release / EXCHANGING).unlink()
    with tarfile.open(archive) as tar:
        return str(json.load(member(tar, "manifest.json"))["id"])


def mend_data(request: Request) -> None:
    """End what was killed while it exchanged the data: those from before are the right ones.

    Where the release's own server runs it has gone on with what lies there: nobody takes that away.
    """
    left = unfinished(request)
    if left and (left[-1] / EXCHANGING).exists() and not served_by(request, left[-1]):
        restore_data(request, left[-1])


def exchange_data(request: Request, archive: Path) -> None:
    """Replace the whole folder: an old WAL would poison the database. The other stays beside it."""
    stop(request)
    database = Path(request["database"]).name
    folder, new, failed = data(request), beside_data(request, "new"), beside_data(request, "failed")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)  # before there is a key in it
    shutil.copytree(
        folder if folder.exists() else failed,
        new,
        ignore=shutil.ignore_patterns(f"{database}*"),
        dirs_exist_ok=True,
    )
    with tarfile.open(archive) as tar:
        for name in held(request):
            replace(new / name, member(tar, name), 0o600)
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


def data(request: Request) -> Path:
    return Path(request["directory"]) / "data"


def beside_data(request: Request, word: str) -> Path:
    return Path(request["directory"]) / f"data.{word}"


# The disk


def make_folders(request: Request) -> None:
    """The admin's own folders on the way; then those of the stack, root's unless named."""
    admin = pwd.getpwnam(request["admin"])
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


def replace(path: Path, content: bytes | IO[bytes], mode: int) -> None:
    """A file is replaced whole or not at all."""
    path.parent.mkdir(exist_ok=True, parents=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as stream:
        if isinstance(content, bytes):
            stream.write(content)
        else:
            shutil.copyfileobj(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    draft.chmod(mode)
    draft.replace(path)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


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
    # One whose connection was cut may still be at work here.
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        json.dump(steps[request["step"]](request), sys.stdout)
