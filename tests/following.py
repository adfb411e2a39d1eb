"""Follows docs/stacks.md to the letter: its files, where it says that they belong."""

import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).parents[1] / "docs/stacks.md"
BLOCK = re.compile(
    r"^ *```\w+\n *(?:#|<!--) ([\w./-]+)(?: -->)?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL
)


def add_the_stack_of_the_page(site_file: Path) -> dict[str, Any]:
    """Write the page's files beside the site file; what it adds to the site's stacks."""
    blocks = {name: textwrap.dedent(text) for name, text in BLOCK.findall(PAGE.read_text())}
    added: dict[str, Any] = yaml.safe_load(blocks.pop("site.yaml"))
    for name, text in blocks.items():
        path = site_file.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return added
