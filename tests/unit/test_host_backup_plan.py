"""The account that can only fetch snapshots: what of it is put back when it was changed."""

import re
from typing import Any

import pytest

from infra.model.host import Account, HostState
from infra.model.host_change import SetBackupAccount
from infra.model.site import Host
from infra.planning.host_backup import (
    BACKUP_KEYS,
    BACKUP_PROGRAM,
    BACKUP_SUDOERS,
    backup_sudoers_text,
    keys_text,
    plan_backup_account,
    program_text,
)

KEY, OTHER = "ssh-ed25519 AAAAbackup backup@home", "ssh-ed25519 AAAAother other@home"
HOST = Host(address="203.0.113.10", admin_keys=("ssh-ed25519 AAAAadmin",), backup_keys=(KEY,))
FORCED = f'restrict,command="{BACKUP_PROGRAM}"'


def planned(host: Host = HOST, **changed: Any) -> list[SetBackupAccount]:
    """The plan for a host that is as HOST wants it, but for what is changed."""
    state: dict[str, Any] = {
        "shell": BACKUP_PROGRAM,
        "groups": (),
        "authorized_keys": (f"{FORCED} {KEY}",),
        "program": program_text(HOST),
        "sudoers": backup_sudoers_text(),
        "loose": (),
    } | changed
    account = Account(**{name: state[name] for name in Account.model_fields})
    files = {BACKUP_KEYS: keys_text(HOST)}
    files |= {BACKUP_PROGRAM: state["program"], BACKUP_SUDOERS: state["sudoers"]}
    observed = HostState.model_construct(backup=account, files=files, loose=state["loose"])
    return list(plan_backup_account(host, observed))


def test_an_account_as_it_is_wanted_is_left_alone() -> None:
    assert planned() == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"shell": "/bin/bash"}, "shell and groups"),
        ({"groups": ("docker",)}, "shell and groups"),
        ({"authorized_keys": (KEY,)}, "the declared keys, and no others"),
        ({"authorized_keys": ()}, "the declared keys, and no others"),
        ({"program": "#!/bin/sh\n"}, "its program"),
        ({"sudoers": "meshkeeper-backup ALL=(ALL) ALL\n"}, "its two requests by sudo"),
        ({"loose": (BACKUP_KEYS,)}, f"only root may change {BACKUP_KEYS}"),
    ],
)
def test_what_was_changed_by_hand_is_put_back(changed: dict[str, Any], reason: str) -> None:
    (change,) = planned(**changed)
    assert reason in change.summary
    assert (change.item, change.sudoers) == ("host.backup", backup_sudoers_text())


def test_a_key_is_rotated_by_declaring_another() -> None:
    (change,) = planned(HOST.model_copy(update={"backup_keys": (OTHER,)}))
    assert change.authorized_keys == f"{FORCED} {OTHER}\n"
    assert change.detail == f"removes the key {FORCED} {KEY}"


def test_of_two_keys_each_is_bound() -> None:
    two = HOST.model_copy(update={"backup_keys": (KEY, OTHER)})
    assert keys_text(two).splitlines() == [f"{FORCED} {KEY}", f"{FORCED} {OTHER}"]


def test_sudo_lets_the_account_ask_for_nothing_but_the_two_requests() -> None:
    rule = backup_sudoers_text().splitlines()[-1]
    expression = re.compile(rule.partition(f"{BACKUP_PROGRAM} ")[2])
    assert expression.match("report")
    assert expression.match("fetch 20261123T120000Z")
    for other in ("", "report x", "fetch ../20261123T120000Z", "fetch 20261123T120000Z.tar"):
        assert not expression.match(other)
