"""Text from the host, made fit for terminals, logs and the UI."""

import re


def plain(text: str, limit: int = 600) -> str:
    """Text without control characters and without what markdown or HTML would act on."""
    shown = re.sub(r"[^\w \t.,:;?!@/+=()'\"_~%&…-]", "?", text)
    return shown if len(shown) <= limit else f"{shown[:limit]}…"
