"""A file of the control machine's as a test needs it, and as it was afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path, content: str) -> Iterator[None]:
    before = path.read_text()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_text(before)
