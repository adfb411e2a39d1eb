"""Which versions there are, by the clients that fetched what we have: go's and pip's own.

They ask where this machine's settings send them (GOPROXY, pip.conf); no index is named here.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from infra.errors import ImageUnavailable
from infra.images.catalog import CATALOG
from infra.images.golang import environment, go
from infra.images.inputs import TOOLCHAIN_LOCK
from infra.images.spec import GoModule, ScratchImage

PATIENCE = 60
_REQUIRED = re.compile(r"^\s*(?:require )?(\S+) (v\S+)$", re.MULTILINE)
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class Version:
    """What is wanted of one thing, and the newest release; `newest` is empty where `note` says why
    nobody could tell."""

    name: str
    wanted: str
    newest: str = ""
    note: str = ""

    @property
    def outdated(self) -> bool:
        return bool(self.newest) and _order(self.newest) > _order(self.wanted)


def image_version(image: str) -> Version:
    """Of an image as compose files name it."""
    repository, _, tag = image.rpartition(":")
    module = _module_path(repository)
    if module is None:
        return Version(
            repository, tag, note="could not ask: no index that we have a client for lists it"
        )
    try:
        return Version(repository, tag, newest(versions_of_module(module)))
    except ImageUnavailable as error:
        return Version(repository, tag, note=error.message)


def toolchain_version() -> Version:
    """Of Go's toolchain, which our own builds are made by: a fault in Go is one of each program."""
    name, _, wanted = TOOLCHAIN_LOCK.read_text().split()[0].partition("==")
    command = [
        sys.executable,
        "-m",
        "pip",
        "index",
        "versions",
        "--disable-pip-version-check",
        name,
    ]
    try:
        listed = _said(command).partition("Available versions:")[2].partition("\n")[0]
        return Version(name, wanted, newest(listed.replace(",", " ").split()))
    except ImageUnavailable as error:
        return Version(name, wanted, note=error.message)


def newest_patch(repository: str, minor: str) -> str:
    """The newest release of a minor such as 0.28 of what images of that name hold.

    Raises ImageUnavailable.
    """
    module = _module_path(repository)
    if module is None:
        raise ImageUnavailable("could not ask: no index that we have a client for lists it")
    listed = [version.removeprefix("v") for version in versions_of_module(module)]
    return newest([version for version in listed if version.startswith(f"{minor}.")])


def versions_of_module(module: str) -> tuple[str, ...]:
    """Releases and drafts on the module's major version. Raises ImageUnavailable."""
    command = [str(go()), "list", "-m", "-json", "-versions", f"{module}@latest"]
    try:
        answer = json.loads(_said(command, environment()))
        return (*answer.get("Versions", ()), answer["Version"])
    except (ValueError, KeyError) as error:
        raise ImageUnavailable(f"could not ask: go's answer on {module} makes no sense") from error


def newest(versions: Sequence[str]) -> str:
    """Of these, without drafts such as 2.12.0-beta.1. Raises ImageUnavailable where there is none."""
    releases = [version for version in versions if _RELEASE.fullmatch(version)]
    if not releases:
        raise ImageUnavailable("could not ask: the index lists no release")
    return max(releases, key=_order).removeprefix("v")


def _module_path(repository: str) -> str | None:
    """Of the program that an image of that name, in whatever version, is built from."""
    for spec in CATALOG.values():
        if spec.name.rpartition(":")[0] == repository and isinstance(spec.recipe, ScratchImage):
            return _required(spec.recipe.module)
    return None


def _required(module: GoModule) -> str | None:
    """The longest path among what the recipe requires that its programs lie below."""
    text = (module.directory / "go.mod").read_text()
    paths = [path for path, _ in _REQUIRED.findall(text)]
    package = module.packages[0]
    return max((path for path in paths if package.startswith(f"{path}/")), key=len, default=None)


def _said(command: Sequence[str], env: dict[str, str] | None = None) -> str:
    """Standard output, asked outside of any module. Raises ImageUnavailable."""
    try:
        with tempfile.TemporaryDirectory() as nowhere:
            done = subprocess.run(
                command,
                cwd=nowhere,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageUnavailable(f"could not ask: {type(error).__name__}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1].strip()
        raise ImageUnavailable(f"could not ask: {last[:200]}")
    return done.stdout


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
