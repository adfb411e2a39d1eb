"""A bad site file: every problem at once, with its path and what to write."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.cli.schema import EXAMPLE
from infra.errors import BadInput
from infra.site_file import load_site

CASES = sorted((Path(__file__).parents[1] / "cases" / "site").glob("*.yaml"))


def load_text(folder: Path, text: str) -> BadInput:
    path = folder / "site.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_site(path)
    return caught.value


def changed(case: dict[str, Any]) -> dict[str, Any]:
    """The example site with a case's changes; keys are dotted paths."""
    site: dict[str, Any] = deepcopy(yaml.safe_load(EXAMPLE.read_text()))
    for path, value in case.get("set", {}).items():
        holder, key = place(site, path)
        holder[key] = value
    for path in case.get("remove", []):
        holder, key = place(site, path)
        del holder[key]
    return site


def place(site: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *above, key = path.split(".")
    for part in above:
        site = site[part]
    return site, key


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_bad_site_file_says_what_to_write(path: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    error = load_text(tmp_path, yaml.safe_dump(changed(case)))
    assert [line.strip() for line in error.message.splitlines()[1:]] == case["messages"]


@pytest.mark.parametrize("password", ["hunter2", {"secret": "Hunter2!"}, ["hunter2"]])
def test_a_secret_in_the_site_file_is_never_shown(password: object, tmp_path: Path) -> None:
    error = load_text(tmp_path, yaml.safe_dump(changed({"set": {"backup.password": password}})))
    assert "backup.password" in str(error)
    assert "hunter2" not in str(error).lower()


def test_broken_yaml_names_the_line_but_does_not_quote_it(tmp_path: Path) -> None:
    error = load_text(tmp_path, "domain: cronova.dev\nbackup: {password: hunter2\nfoo: ]\n")
    assert "line 3" in str(error)
    assert "hunter2" not in str(error)


def test_a_key_that_stands_there_twice_is_an_error(tmp_path: Path) -> None:
    error = load_text(tmp_path, "domain: a.example\ndomain: b.example\n")
    assert "line 2: the key 'domain' stands there twice" in str(error)


@pytest.mark.parametrize("text", ["", "- a list\n", "just text\n"])
def test_what_is_no_mapping_describes_no_site(text: str, tmp_path: Path) -> None:
    assert "describes no site" in str(load_text(tmp_path, text))


def test_a_missing_site_file_leads_to_init(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="meshkeeper init"):
        load_site(tmp_path / "none.yaml")
