"""What a command answers, and how it is shown: text for people, JSON for programs."""

import json
import sys
from html import unescape
from typing import Any, NamedTuple

from infra.errors import MeshkeeperError
from infra.text import printable


class Answer(NamedTuple):
    """A command's result; `text` is plain or Markdown, `data` can be written as JSON."""

    text: str
    data: dict[str, Any]
    exit_code: int = 0
    markdown: bool = False


def show(answer: Answer, *, as_json: bool) -> None:
    """Print an answer on standard output."""
    if as_json:
        print(json.dumps(answer.data, indent=2, default=str))
    elif answer.markdown and sys.stdout.isatty():
        _show_markdown(answer.text)
    elif answer.markdown:
        # Nothing renders it here, so its escapes would be read as they are written.
        print(printable(unescape(answer.text)))
    else:
        print(printable(answer.text))


def show_error(error: MeshkeeperError, *, as_json: bool) -> None:
    """Print what went wrong: for people on standard error, for programs on standard output."""
    if as_json:
        print(json.dumps(as_data(error), indent=2))
        return
    print(f"meshkeeper: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  → {error.hint}", file=sys.stderr)


def as_data(error: MeshkeeperError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": error.message, "hint": error.hint}


def _show_markdown(text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(printable(text)))
