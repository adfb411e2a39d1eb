"""Text, some of which a stranger wrote, made fit for terminals, logs and the UI. Pure."""

import re

#: Characters that a terminal acts on (ECMA-48's C0 and C1 sets, but newline and tab), and those
#: that turn the direction of text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MARKUP = re.compile(r"[|<>`\[\]\\*]")


def printable(text: str) -> str:
    """`text` without what a terminal would act on."""
    return _CONTROL.sub("?", text)


def excerpt(text: str, *, lines: int, width: int = 300) -> str:
    """The first lines of a stranger's text, each cut at `width` characters, and printable."""
    shown = printable(text).split("\n")
    kept = [line[:width] for line in shown[:lines]]
    return "\n".join(kept if len(shown) <= lines else [*kept, "…"])


def plain(text: str, limit: int = 600) -> str:
    """Text without control characters and without what markdown or HTML would act on."""
    shown = re.sub(r"[^\w \t.,:;?!@/+=()'\"_~%&…-]", "?", text)
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def cell(text: str | None, limit: int = 600) -> str:
    """`text` fit for a table cell or a list item in markdown: one line, and no markup of its own."""
    line = " ".join(printable(text or "").split())[:limit]
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", line)


def counted(number: int, what: str) -> str:
    """`1 user`, `2 users`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def duration(seconds: float) -> str:
    """`3 days 4 h`, `2 h 5 min`, `41 min`, `12 s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} {'day' if days == 1 else 'days'} {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
