"""The documents tell the truth about the tree: links, make targets, commands, exit codes."""

import re
from pathlib import Path

import pytest

from deployments.cli.arguments import COMMANDS
from infra.errors import BadInput, CouldNotRun, Failed

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_make_target_named_in_a_page_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert [t for t in sorted(named) if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_command_named_in_a_page_is_one_of_ours(page: Path) -> None:
    named = set(re.findall(r"`(?:\.venv/bin/)?meshkeeper ([a-z-]+)", page.read_text()))
    assert named <= COMMANDS.keys()


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_file_of_the_tree_named_in_a_page_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:infra|flows|tasks|deployments|tests|docs)/[\w./-]+)`", page.read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def sources() -> list[Path]:
    folders = [ROOT / name for name in ("infra", "tasks", "flows", "deployments")]
    return [path for folder in folders for end in ("py", "sh") for path in folder.rglob(f"*.{end}")]


def test_every_command_that_an_error_advises_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = "\n".join(path.read_text() for path in sources())
    targets = set(re.findall(r"[`']make ([a-z-]+)", text))
    assert len(targets) > 2
    assert [t for t in sorted(targets) if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []
    advised = set(re.findall(r"[`']meshkeeper ([a-z][a-z-]*)", text))
    assert len(advised) > 5
    assert advised <= COMMANDS.keys()


def test_the_runbook_lists_the_exit_codes_that_errors_have() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    for error, meaning in (
        (Failed, "failed"),
        (BadInput, "bad input"),
        (CouldNotRun, "could not run"),
    ):
        assert f"| {error.exit_code} | {meaning}" in runbook
