"""Modules as one program for a host's Python: sent over standard input, installed nowhere."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any


def program(package: str, modules: Sequence[str], request: Mapping[str, Any]) -> bytes:
    """Modules of a package, joined, with a call of their `main` at the end."""
    return f"{joined(package, modules)}\nmain({request!r})\n".encode()


def joined(package: str, modules: Sequence[str]) -> str:
    """Modules of a package in one text; each uses only those before it, and no name of another."""
    imported = re.compile(
        rf"^ *from (?:__future__|{re.escape(package)}\.\w+) import (?:\([^)]*\)|.*)\n", re.MULTILINE
    )
    folder = files(package)
    sources = [imported.sub("", folder.joinpath(f"{name}.py").read_text()) for name in modules]
    return "\n".join(["from __future__ import annotations\n", *sources])
