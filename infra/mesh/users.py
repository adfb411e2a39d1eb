"""Users and device keys of the mesh, on the running server of a host."""

import shlex

from pydantic import SecretStr

from infra.access.session import Session
from infra.errors import BadInput, StepFailed
from infra.mesh.headscale import (
    NEEDS_OWNER,
    Argv,
    User,
    create_tag_key,
    create_user,
    create_user_key,
    delete_node,
    list_nodes,
    list_users,
    parse_key,
    parse_nodes,
    parse_users,
)
from infra.model.snapshot import NodeFact

CONTAINER = "headscale"


def ask(session: Session, step: str, command: Argv) -> bytes:
    """Run headscale's command line in its container on the host. Raises StepFailed."""
    line = shlex.join(("docker", "exec", CONTAINER, *command))
    return session.check(step, session.as_root(line))


def users(session: Session) -> tuple[User, ...]:
    return parse_users(ask(session, "list users", list_users()))


def nodes(session: Session) -> tuple[NodeFact, ...]:
    return parse_nodes(ask(session, "list nodes", list_nodes()))


def create_missing_users(session: Session, declared: tuple[str, ...]) -> tuple[str, ...]:
    """Create those of the users that are not there; returns their names."""
    there = {user.name for user in users(session)}
    missing = tuple(name for name in declared if name not in there)
    for name in missing:
        ask(session, f"create user {name}", create_user(name))
    return missing


def new_device_key(session: Session, user: str) -> SecretStr:
    """A key with which one device may join as `user` within the hour. Raises BadInput."""
    there = {known.name: known for known in users(session)}
    if user not in there:
        raise BadInput(
            f"The mesh has no user {user!r}.",
            f"It has: {', '.join(there) or 'nobody'}. Declare users in stacks.headscale.users.",
        )
    return parse_key(ask(session, f"make a key for {user}", create_user_key(there[user])))


def new_tag_key(session: Session, tag: str) -> SecretStr:
    """Of nobody; where the server wants somebody, of its first user."""
    step = f"make a key for {tag}"
    try:
        made = ask(session, step, create_tag_key(tag))
    except StepFailed as error:
        owners = users(session) if NEEDS_OWNER in error.message else ()
        if not owners:
            raise
        made = ask(session, step, create_tag_key(tag, owners[0]))
    return parse_key(made)


def remove_tagged_nodes(session: Session, tag: str) -> None:
    """Remove what an enrolment that was cut off left behind."""
    for node in nodes(session):
        if tag in node.tags:
            ask(session, f"remove the node {node.name}", delete_node(node.id))
