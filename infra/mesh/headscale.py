"""Headscale's command line: commands as argument lists, and what their JSON says.

Building and parsing are apart from running, so that a server in any container can be asked.
The JSON is read tolerantly: 0.30 changes it (facts: `-o json`).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr, ValidationError

from infra.errors import StepFailed
from infra.model.base import Model
from infra.model.snapshot import NodeFact

Argv = tuple[str, ...]
_KEY = re.compile(r"[A-Za-z0-9_-]{16,200}")
#: What the API calls the owner of a tagged node; the database has none.
NOBODY = "tagged-devices"
#: 0.27's refusal of a key that belongs to nobody.
NEEDS_OWNER = 'required flag(s) "user" not set'


class User(Model):
    id: int
    name: str


def list_users() -> Argv:
    return _command("users", "list")


def create_user(name: str) -> Argv:
    return _command("users", "create", name)


def list_nodes() -> Argv:
    return _command("nodes", "list")


def delete_node(number: int) -> Argv:
    return _command("nodes", "delete", "--identifier", str(number), "--force")


def create_user_key(user: User, valid: str = "1h") -> Argv:
    """A key with which one device may join as `user`, once, within `valid`."""
    return _command("preauthkeys", "create", "--user", str(user.id), "--expiration", valid)


def create_tag_key(tag: str, owner: User | None = None, valid: str = "10m") -> Argv:
    """A key with which one device may join, carrying `tag`; of nobody, which 0.27 does not know."""
    of = ("--user", str(owner.id)) if owner else ()
    return _command("preauthkeys", "create", *of, "--tags", tag, "--expiration", valid)


def parse_users(output: bytes) -> tuple[User, ...]:
    """Raises StepFailed for anything but a list of users; so do all parsers here."""
    return tuple(User(id=_number(user), name=str(user.get("name") or "")) for user in _rows(output))


def parse_nodes(output: bytes) -> tuple[NodeFact, ...]:
    """Sorted by id, as a snapshot's manifest has them."""
    nodes = [_node(row) for row in _rows(output)]
    return tuple(sorted(nodes, key=lambda node: node.id))


def parse_key(output: bytes) -> SecretStr:
    """The key it made. In a form that no shell and no terminal acts on: it is shown to a person."""
    answer = _loaded(output)
    key = answer.get("key") if isinstance(answer, dict) else None
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise StepFailed("headscale made a key and did not show it.", _UNREADABLE)
    return SecretStr(key)


_UNREADABLE = "Is this a version of headscale that meshkeeper knows (0.27 to 0.29)?"


def _command(*words: str) -> Argv:
    return ("headscale", *words, "--output", "json")


def _node(row: Mapping[str, Any]) -> NodeFact:
    try:
        owner = str((row.get("user") or {}).get("name") or "")
        return NodeFact(
            id=_number(row),
            name=str(row.get("given_name") or row.get("givenName") or row.get("name") or ""),
            user="" if owner == NOBODY else owner,
            node_key=str(row.get("node_key") or row.get("nodeKey") or ""),
            machine_key=str(row.get("machine_key") or row.get("machineKey") or ""),
            addresses=tuple(row.get("ip_addresses") or row.get("ipAddresses") or ()),
            tags=tuple(row.get("tags") or row.get("forced_tags") or ()),
            approved_routes=tuple(row.get("approved_routes") or row.get("approvedRoutes") or ()),
        )
    except (ValidationError, TypeError, AttributeError) as error:
        raise StepFailed("headscale lists a node of an unknown form.", _UNREADABLE) from error


def _rows(output: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON list; headscale writes an empty one as `null`."""
    rows = _loaded(output) or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StepFailed("headscale answered with something that is no list.", _UNREADABLE)
    return rows


def _loaded(output: bytes) -> Any:
    try:
        return json.loads(output)
    except (ValueError, RecursionError) as error:
        raise StepFailed(
            "headscale answered with something that is no JSON.", _UNREADABLE
        ) from error


def _number(row: Mapping[str, Any]) -> int:
    """The row's id; 0.30 writes numbers as strings."""
    try:
        return int(row["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise StepFailed("headscale's answer lacks a number.", _UNREADABLE) from error
