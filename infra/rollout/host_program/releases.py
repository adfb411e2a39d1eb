"""Releases: what is in them, which there are, a new one, and those that go."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from infra.rollout.host_program.disk import replace, sync
from infra.rollout.host_program.images import docker, image_id, running_images
from infra.rollout.host_program.places import (
    ABOUT,
    CURRENT,
    FILES,
    HOME,
    ID,
    Request,
    home,
)


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
        left.unlink() if left.is_symlink() else shutil.rmtree(left)
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


def discard(release: Path) -> None:
    """A release goes at once: what is left of it when we are killed is a draft."""
    draft = release.with_name(f"{release.name}.draft")
    release.rename(draft)
    shutil.rmtree(draft)


def files_of(releases: list[Path]) -> set[str]:
    """The paths of all their files."""
    return {path for release in releases for path in contents(release)}


def next_id(request: Request) -> str:
    """The time, UTC; later than all others, also where the clock went back."""
    moment = time.time()
    newest = [release.name for release in all_releases(request)[-1:]]
    while (name := time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))) <= max(newest, default=""):
        moment += 1
    return name


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
        discard(release)
    for path in HOME.glob(f"*/*/{ABOUT}"):
        images -= set(about(path.parent)["images"].values())
    for number in filter(None, images):
        docker("image", "rm", number)  # refused where a container still needs it
