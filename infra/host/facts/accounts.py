"""Accounts: those that are asked for, and what all the others may do."""

from __future__ import annotations

import grp
import pwd

from infra.host.facts.base import listed, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Whose members are root for the asking.
ROOT_GROUPS = ("docker", "sudo")
SUDOERS, SUDOERS_FOLDER = "/etc/sudoers", "/etc/sudoers.d/"
MOST_OTHERS = 50


def account(name: str) -> dict[str, Any] | None:
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return None
    return {"shell": user.pw_shell, "groups": groups(user), "authorized_keys": keys(user)}


def groups(user: pwd.struct_passwd) -> list[str]:
    """Names of those that it was added to."""
    return sorted(group.gr_name for group in grp.getgrall() if user.pw_name in group.gr_mem)


def keys(user: pwd.struct_passwd) -> list[str]:
    lines = [line.strip() for line in read(user.pw_dir + "/.ssh/authorized_keys").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def other_accounts(known: list[str]) -> dict[str, list[str]]:
    """Who else logs in by keys or becomes root, and how: accounts, and groups with a `%`."""
    found = {user.pw_name: powers(user) for user in pwd.getpwall()}
    # Names with a dot or a `~` at their end are those that sudo leaves out (sudoers(5)).
    names = [name for name in listed(SUDOERS_FOLDER) if "." not in name and name[-1] != "~"]
    for path in (SUDOERS, *(SUDOERS_FOLDER + name for name in sorted(names))):
        for who in sudoers_of(read(path)):
            found.setdefault(who, []).append("a rule in " + path)
    others = [(who, by) for who, by in sorted(found.items()) if by and who not in known]
    return dict(others[:MOST_OTHERS])


def powers(user: pwd.struct_passwd) -> list[str]:
    own = ["root's number"] if user.pw_uid == 0 else []
    own += ["keys of its own"] if keys(user) else []
    member = [g.gr_name for g in grp.getgrall() if g.gr_gid == user.pw_gid] + groups(user)
    return own + ["the group " + name for name in ROOT_GROUPS if name in member]


def sudoers_of(text: str) -> list[str]:
    """Whom its rules are for, each once, by their first words."""
    lines = text.replace("\\\n", " ").splitlines()
    words = dict.fromkeys(line.split()[0] for line in lines if line.strip())
    return [w for w in words if not w.startswith(("#", "@", "Defaults")) and "_Alias" not in w]
