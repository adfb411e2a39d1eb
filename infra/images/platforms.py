"""The processors that images are made for, by the engine's names for them."""

import platform
from functools import cache
from typing import Literal

from infra.errors import ImageUnavailable

Architecture = Literal["amd64", "arm64"]
#: By what `uname -m` says.
BY_MACHINE: dict[str, Architecture] = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture_of(machine: str, whose: str) -> Architecture:
    """`machine` as `uname -m` says it, `whose` for the error. Raises ImageUnavailable."""
    if machine not in BY_MACHINE:
        raise ImageUnavailable(
            f"{whose} has a processor ({machine[:20]}) for which meshkeeper makes no images.",
            f"Use a machine of one of: {', '.join(BY_MACHINE)}.",
        )
    return BY_MACHINE[machine]


@cache
def own() -> Architecture:
    """The control machine's."""
    return architecture_of(platform.machine(), "This machine")
