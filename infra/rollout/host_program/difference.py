"""What a release has otherwise than another, for people: bounded, since it is read in a report."""

from __future__ import annotations

import difflib

from infra.rollout.host_program.places import SECRETS

MOST_LINES = 200
#: Characters of a line, and bytes of a file.
LONGEST_LINE, LARGEST = 300, 64 * 1024


def difference(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """A unified diff of all files. A secret is told by its name alone."""
    lines = [
        line[:LONGEST_LINE]
        for path in sorted(before.keys() | after.keys())
        for line in changed(path, before.get(path), after.get(path))
    ]
    rest = [f"… {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([*lines[:MOST_LINES], *rest])


def changed(path: str, old: bytes | None, new: bytes | None) -> list[str]:
    if old == new:
        return []
    if path.startswith(SECRETS):
        return [f"{path}: another value"]
    if max(len(old or b""), len(new or b"")) > LARGEST:
        return [f"{path}: differs, and is too large to be shown"]
    was, is_now = ("/dev/null" if content is None else path for content in (old, new))
    return list(difflib.unified_diff(lines_of(old), lines_of(new), was, is_now, lineterm=""))


def lines_of(content: bytes | None) -> list[str]:
    return (content or b"").decode(errors="replace").splitlines()
