"""What is due when a control plane starts again, by the time since the last success."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.embedded.recovery import due_deployments

NOW = datetime.now(UTC)


class Books:
    """A server that knows one deployment, due every Sunday, and when it last succeeded."""

    def __init__(self, success: datetime | None) -> None:
        self._success = success

    def runs(self, **_: Any) -> list[Any]:
        return []

    def deployments(self) -> list[Any]:
        schedule = {"cron": "30 4 * * 0", "timezone": "Europe/Berlin"}
        by_hand: list[Any] = []
        return [
            {"id": "weekly", "schedules": [{"schedule": schedule}]},
            {"id": "by hand", "schedules": by_hand},
        ]

    def last_ended(self, _id: str, states: Any) -> list[Any]:
        assert states == ("COMPLETED",)
        return [{"end_time": self._success.isoformat()}] if self._success else []


@pytest.mark.parametrize(
    ("success", "due"),
    [
        (NOW - timedelta(days=8), {"weekly"}),
        (NOW + timedelta(minutes=1), set()),
        (None, set()),
    ],
)
def test_a_deployment_is_due_until_it_has_succeeded_since_its_last_time(
    success: datetime | None, due: set[str]
) -> None:
    assert due_deployments(Books(success)) == due  # type: ignore[arg-type]
