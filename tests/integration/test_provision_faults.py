"""A connection that breaks in the middle of each item: the host stays reachable, the next run finishes."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest

from deployments.lab.boot import Lab
from deployments.lab.keys import ensure_ssh_key
from infra.access.host_keys import pin_host_key
from infra.errors import CouldNotRun, Failed, StepFailed
from infra.host import apply
from infra.host.apply import apply_change
from infra.host.guard import guarded
from infra.host.provision import Target, look, require_in_order, way_in
from infra.model.host import HostChange
from infra.model.site import Host
from tests.integration.test_provision import target_for, within
from tests.integration.toxiproxy import Link, toxiproxy

#: Seconds into an item: after the script was sent, while the host is at work.
IN_THE_MIDDLE = 0.4
#: Seconds in which the host takes a change back; the real ones would make the test wait.
REVERT = 20


class Distant(NamedTuple):
    """A bare host behind Toxiproxy."""

    link: Link
    target: Target


@pytest.fixture
def distant(lab: Lab, bare_host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distant]:
    monkeypatch.setattr(apply, "guarded", partial(guarded, seconds=REVERT))
    monkeypatch.setattr(apply, "GUARDED_LONGEST", REVERT - 5)
    delivered = bare_host("distant")
    with toxiproxy(f"{delivered.address}:22") as link:
        host = Host(
            address="127.0.0.1",
            port=link.port,
            host_key=delivered.host_key,
            admin_keys=(ensure_ssh_key(delivered.ssh_key),),
        )
        target = target_for(lab, host, delivered.ssh_key.parent)
        pin_host_key(target.admin, host.host_key)
        yield Distant(link, target)


def test_a_connection_cut_in_each_item_loses_nothing(distant: Distant) -> None:
    """The items are those of the plan, each cut once; what it left is planned and made anew."""
    cut_in: list[str] = []
    complaints: list[str] = []
    while (plan := reached(distant.target)).changes:
        change = plan.changes[0]
        if change.item in cut_in:
            with way_in(distant.target) as session:
                apply_change(session, change, distant.target.admin)
            continue
        cut_in.append(change.item)
        complaints += cut_off(distant, change)
    assert len(cut_in) == 9
    # Some items are done before the scissors are there; the long ones never are.
    assert len(complaints) > 4
    assert [text for text in complaints if not text.startswith("vps: host.")] == []
    require_in_order(distant.target)


def test_a_distant_host_is_planned_in_one_round_trip(distant: Distant) -> None:
    distant.link.delay(150)
    assert look(distant.target).round_trips == 1


def cut_off(distant: Distant, change: HostChange) -> list[str]:
    """Make `change`, and cut the connection while it is made; what was said of that, if anything."""
    scissors = threading.Timer(IN_THE_MIDDLE, distant.link.cut)
    try:
        with way_in(distant.target) as session:
            scissors.start()
            apply_change(session, change, distant.target.admin)
    except (CouldNotRun, Failed) as error:
        return [error.message]
    finally:
        scissors.join()
        distant.link.mend()
    return []


def reached(target: Target):
    """The plan, from a new connection: once what the host had to take back is taken back."""
    plans = []

    def asked() -> bool:
        try:
            plans.append(look(target).plan)
        except (CouldNotRun, StepFailed):
            time.sleep(2)  # no hammering: sshd penalises that
            return False
        return True

    assert within(3 * REVERT, asked), "the host can't be reached any more"
    return plans[-1]
