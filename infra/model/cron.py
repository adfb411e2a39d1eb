"""Checks for schedules and time zones, with messages that say what to write."""

import re
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

#: Of some crons: last day, nearest weekday, second Friday. Prefect's schedules have none of them.
_EXTENSION = re.compile(r"[#?]|\bL\b|\dL\b|\bLW\b|\dW\b", re.IGNORECASE)


def check_cron(value: str) -> str:
    """Return `value` if it is a five-field cron line; ValueError otherwise."""
    from datetime import UTC, datetime

    if len(value.split()) != 5:
        raise ValueError("not a cron line; write five fields, such as '7 * * * *'")
    if _EXTENSION.search(value):
        raise ValueError("not a cron line that Prefect knows (L, W, #); write such as '7 * * * *'")
    try:
        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"not a cron line ({error}); write such as '7 * * * *'") from error
    return value


def check_timezone(value: str) -> str:
    """Return `value` if it is an IANA time zone; ValueError otherwise."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("not a time zone; write such as 'Europe/Berlin' or 'UTC'") from error
    return value
