"""Text for reports, some of which a stranger wrote."""

import re

_MARKUP = re.compile(r"[|<>`\[\]\\*]")


def cell(text: str | None, limit: int = 600) -> str:
    """`text` fit for a table cell: one line, and no markup of its own."""
    line = " ".join((text or "").split())[:limit]
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", line)


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
