"""One thing that the flows need, as `doctor` tells it."""

from collections.abc import Callable
from typing import NamedTuple

from infra.errors import MeshkeeperError


class Check(NamedTuple):
    """What was found, and what to do where it is not right."""

    name: str
    found: str
    todo: str = ""

    @property
    def ok(self) -> bool:
        return not self.todo


def attempt(name: str, look: Callable[..., str], *of: object) -> Check:
    """What `look` found at `of`, or the error that it raised."""
    try:
        return Check(name, look(*of))
    except MeshkeeperError as error:
        return Check(name, error.message, error.hint or "See the message.")
