"""Headscale's command line: what is asked, and what its answers mean."""

import json
from typing import Any

import pytest

from infra.errors import StepFailed
from infra.mesh.headscale import (
    User,
    create_tag_key,
    create_user,
    create_user_key,
    delete_node,
    list_nodes,
    parse_key,
    parse_nodes,
    parse_users,
)
from infra.mesh.users import new_tag_key

#: As 0.29.2 printed them, shortened.
USERS = b'[{"id": 1, "name": "augusto", "created_at": {"seconds": 1795480003}}]'
NODES = b"""[
  {"id": 2, "machine_key": "mkey:aa", "node_key": "nodekey:bb", "ip_addresses": ["100.64.0.2"],
   "name": "laptop", "given_name": "laptop-x1", "user": {"id": 1, "name": "augusto"},
   "approved_routes": ["192.168.1.0/24"], "online": true},
  {"id": 1, "node_key": "nodekey:cc", "ip_addresses": ["100.64.0.1", "fd7a:115c:a1e0::1"],
   "name": "meshkeeper-canary", "given_name": "meshkeeper-canary",
   "user": {"id": 2147455555, "name": "tagged-devices"}, "tags": ["tag:meshkeeper-canary"]}
]"""
KEY = b'{"id": 1, "key": "hskey-auth-Wj3_x-y2", "acl_tags": ["tag:meshkeeper-canary"]}'


def test_each_command_asks_for_json() -> None:
    commands = (list_nodes(), create_user("augusto"), delete_node(3), create_tag_key("tag:a"))
    assert {command[-2:] for command in commands} == {("--output", "json")}


def test_a_device_key_is_for_a_number_and_expires() -> None:
    assert create_user_key(User(id=7, name="augusto"))[:-2] == (
        "headscale", "preauthkeys", "create", "--user", "7", "--expiration", "1h",
    )  # fmt: skip


def test_an_empty_list_is_printed_as_null() -> None:
    assert parse_users(b"null\n") == ()
    assert parse_nodes(b"null\n") == ()


def test_users_have_numbers() -> None:
    assert parse_users(USERS) == (User(id=1, name="augusto"),)


def test_nodes_come_as_a_manifest_has_them() -> None:
    canary, laptop = parse_nodes(NODES)
    assert (canary.id, canary.user, canary.tags) == (1, "", ("tag:meshkeeper-canary",))
    assert (laptop.name, laptop.user) == ("laptop-x1", "augusto")
    assert laptop.approved_routes == ("192.168.1.0/24",)
    assert canary.addresses == ("100.64.0.1", "fd7a:115c:a1e0::1")


def test_other_spellings_of_a_nodes_fields_are_read() -> None:
    node = {"id": "4", "givenName": "a", "nodeKey": "nodekey:a", "ipAddresses": ["100.64.0.4"]}
    (parsed,) = parse_nodes(json.dumps([node]).encode())
    assert (parsed.id, parsed.name, parsed.addresses) == (4, "a", ("100.64.0.4",))


def test_tags_are_read_as_0_27_tells_them() -> None:
    node = {
        "id": 1,
        "user": {"id": 1, "name": "a"},
        "forced_tags": ["tag:x"],
        "valid_tags": ["tag:x"],
    }
    (parsed,) = parse_nodes(json.dumps([node]).encode())
    assert parsed.tags == ("tag:x",)


class OldServer:
    """A session with 0.27, which wants an owner for every key."""

    def __init__(self, users: bytes) -> None:
        self.users = users

    def as_root(self, command: str) -> str:
        return command

    def check(self, step: str, command: str) -> bytes:
        if "users list" in command:
            return self.users
        if "--user" not in command:
            raise StepFailed(f'vps: {step} ended with status 1: required flag(s) "user" not set')
        assert "--user 1 --tags tag:x" in command
        return KEY


def test_a_key_for_a_tag_belongs_to_somebody_where_the_server_wants_it() -> None:
    old: Any = OldServer(USERS)
    assert new_tag_key(old, "tag:x").get_secret_value().startswith("hskey")
    nobody: Any = OldServer(b"null")
    with pytest.raises(StepFailed, match="not set"):
        new_tag_key(nobody, "tag:x")


def test_a_key_does_not_show_itself() -> None:
    key = parse_key(KEY)
    assert key.get_secret_value() == "hskey-auth-Wj3_x-y2"
    assert "hskey" not in f"{key} {key!r}"


@pytest.mark.parametrize(
    "key", ["", "short", "hskey-auth-x; reboot #", "hskey-auth-\x1b[2Jxxxxx", 7]
)
def test_a_key_that_is_not_one_is_not_shown(key: object) -> None:
    with pytest.raises(StepFailed, match="did not show it"):
        parse_key(json.dumps({"key": key}).encode())


@pytest.mark.parametrize(
    "answer", [b"", b"Error: no", b'{"nodes": 1}', b'["a"]', b'[{"name": "a"}]', b'[{"id": "x"}]']
)
def test_an_unreadable_answer_is_an_error_that_names_the_versions(answer: bytes) -> None:
    with pytest.raises(StepFailed, match=r"0\.29"):
        parse_nodes(answer)


@pytest.mark.parametrize("user", ["augusto", ["a"], 5])
def test_a_node_with_a_strange_owner_is_an_error(user: object) -> None:
    with pytest.raises(StepFailed, match="unknown form"):
        parse_nodes(json.dumps([{"id": 1, "user": user}]).encode())


def test_a_key_that_is_not_shown_is_an_error() -> None:
    with pytest.raises(StepFailed, match="did not show"):
        parse_key(b'{"id": 1}')
