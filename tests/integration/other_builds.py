"""Other builds of headscale than the site's: the same program, wrapped otherwise, under a version's name.

Nobody rehearses them: a rehearsal would refuse a bad one, or take its time for a good one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.site import edited
from flows import rollout
from infra.images.cache import cached, file_name
from infra.images.catalog import CATALOG
from infra.images.engine import engine, find_image
from tests.integration.dying import roll_out_here, succeeded

VERSION = "0.29.3"
NAME = f"headscale/headscale:{VERSION}"
PROGRAM = "ko-app/headscale"
#: Given options for its start, and how often the program lies in it, makes it known as `NAME`.
Offer = Callable[..., None]


@contextmanager
def other_builds(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """The site wants the one that was offered last; at the end its own again. Of them nothing is left."""
    official = CATALOG[f"headscale/headscale:{lab.site.stacks.headscale.version}"]
    monkeypatch.setattr(rollout, "upgrade_of", lambda *_: None)

    def offer(*options: str, copies: int = 1, number: int = 0) -> None:
        recipe = official.recipe
        config = {
            **recipe.config,
            "Entrypoint": [f"/{PROGRAM}", *options],
            "Env": [*recipe.config["Env"], f"BUILD={number}"],
        }
        files = {PROGRAM + "-too" * copy: "headscale" for copy in range(copies)}
        other = replace(recipe, files=files, config=config)
        _forget()
        monkeypatch.setitem(
            CATALOG, NAME, replace(official, name=NAME, recipe=other, official=False)
        )

    try:
        with edited(lab.plan.site_file, _want_it):
            yield offer
    finally:
        ended = roll_out_here(lab.plan.site_file, patch=monkeypatch.setattr)
        _forget()
    succeeded(ended)


def _want_it(values: dict[str, Any]) -> None:
    values["stacks"]["headscale"]["version"] = VERSION
    # The small disk lies in the VPS's memory, which has to do for both.
    values["stacks"]["headscale"]["memory_mb"] = 128


def _forget() -> None:
    if find_image(NAME):
        engine().images.remove(NAME)
    for archive in cached("images", "x").parent.glob(f"{file_name(NAME)}-*"):
        archive.unlink()
