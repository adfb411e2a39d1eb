"""Asking a service until its answer is right."""

import time
from collections.abc import Callable

from infra.errors import Failed, GateFailed, Unreachable
from infra.model.stack import Check

PAUSE = 0.5


class NotYet(Failed):
    """An answer that may become right by waiting."""


class Hopeless(Failed):
    """An answer that no waiting makes right."""


def wait_until(name: str, question: Callable[[], str], patience: float) -> Check:
    """Ask until the answer is right; GateFailed when it is not within `patience` seconds."""
    began = time.monotonic()
    while True:
        try:
            found = question()
            return Check(name=name, found=found, seconds=round(time.monotonic() - began, 2))
        except (Failed, Unreachable) as error:
            if isinstance(error, Hopeless) or time.monotonic() - began > patience:
                raise GateFailed(f"{name}: no. {error.message}") from error
        time.sleep(PAUSE)
