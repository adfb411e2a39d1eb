"""A Debian root by debootstrap, from where this machine's own apt gets its packages."""

import os
import subprocess
from pathlib import Path

from infra.errors import ImageUnavailable
from infra.images.cache import cached
from infra.images.run import BuildCommand, run_build
from infra.images.spec import DebianRoot

TARGETS = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)"]


def build_root(recipe: DebianRoot, layer: Path) -> None:
    """Run the recipe's build.sh, which writes the root as a tar. Needs root, or sudo."""
    run_build(
        BuildCommand(
            what=f"A root of Debian {recipe.suite}",
            argv=[
                *_as_root(),
                str(recipe.directory / "build.sh"),
                recipe.suite,
                *mirrors(_apt_targets()),
            ],
            log=cached("logs", f"debian-{recipe.suite}.log"),
            output=layer,
        )
    )


def mirrors(targets: str) -> list[str]:
    """Debian's mirror and, if apt has one, that of its security suite.

    `targets`: lines "ORIGIN RELEASE URI", as `apt-get indextargets` prints them. Raises
    `ImageUnavailable` if Debian is not among them.
    """
    rows = [line.split(maxsplit=2) for line in targets.splitlines() if line.startswith("Debian ")]
    security = [uri for _, release, uri in rows if release.endswith("-security")]
    main = [uri for _, release, uri in rows if "-" not in release]
    if not main:
        raise ImageUnavailable(
            "No Debian mirror is configured here to build images from.",
            "Run: sudo apt-get update",
        )
    return [_resolved(uri) for uri in (*main[:1], *security[:1])]


def _apt_targets() -> str:
    try:
        return subprocess.run(TARGETS, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageUnavailable(
            "apt-get does not tell where its packages come from.",
            "Images can be built on Debian only; elsewhere a container registry is needed.",
        ) from error


def _resolved(uri: str) -> str:
    """Cloud images name a file with a list of mirrors, which debootstrap can't read."""
    prefix = "mirror+file:"
    if not uri.startswith(prefix):
        return uri
    lines = Path("/" + uri.removeprefix(prefix).strip("/")).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]
