"""The account on a host that can do nothing but fetch snapshots, and what of it differs. Pure.

Its login shell is the program that answers, each key's forced command is that program, and sudo
lets the account do just the two requests: no shell is left that an option could open again. All of
it belongs to root, the list of keys too.
"""

from collections.abc import Iterable
from importlib.resources import files

from infra.model.fields import BACKUP_USER
from infra.model.host import HostState
from infra.model.host_change import SetBackupAccount
from infra.model.site import Host

#: Not below /usr/local, which a group may write to on Debian.
BACKUP_PROGRAM = "/opt/meshkeeper/backup-requests"
BACKUP_HOME = "/var/lib/meshkeeper-backup"
BACKUP_KEYS = f"{BACKUP_HOME}/.ssh/authorized_keys"
BACKUP_SUDOERS = "/etc/sudoers.d/meshkeeper-backup"
FILES = (BACKUP_PROGRAM, BACKUP_KEYS, BACKUP_SUDOERS)
_ITEM = "host.backup"


def backup_folder(host: Host) -> str:
    return f"/home/{host.admin}/backups/headscale"


def program_text(host: Host) -> str:
    """The program, as the account has it, and as the admin feeds it to python3."""
    source = files("infra.backup").joinpath("host_requests.py").read_text()
    return (
        f"#!/usr/bin/python3 -IS\n{source}\n\nenter({backup_folder(host)!r}, {BACKUP_PROGRAM!r})\n"
    )


def keys_text(host: Host) -> str:
    """`restrict`: no forwarding, no terminal, no file of its own that sshd would run."""
    command = f'restrict,command="{BACKUP_PROGRAM}"'
    return "".join(f"{command} {key}\n" for key in host.backup_keys)


def backup_sudoers_text() -> str:
    # A regular expression, since a wildcard of sudoers matches blanks and slashes, too.
    requests = "^(report|fetch [0-9]{8}T[0-9]{6}Z)$"
    return (
        "# Written by meshkeeper: what is changed here by hand is put back.\n"
        f"{BACKUP_USER} ALL=(root) NOPASSWD: {BACKUP_PROGRAM} {requests}\n"
    )


def plan_backup_account(host: Host, state: HostState) -> Iterable[SetBackupAccount]:
    """The account where the site declares keys for it, and no trace of it where it doesn't."""
    if host.backup_keys:
        yield from _wanted(host, state)
    elif state.backup is not None or not state.files.keys().isdisjoint(FILES):
        yield SetBackupAccount(
            item=_ITEM,
            summary=f"remove the account {BACKUP_USER}: no key is declared for it",
            detail=_removed_keys(host, state),
        )


def _wanted(host: Host, state: HostState) -> Iterable[SetBackupAccount]:
    if reasons := _reasons(host, state):
        yield SetBackupAccount(
            item=_ITEM,
            summary=f"account {BACKUP_USER}, for fetching snapshots only: {', '.join(reasons)}",
            detail=_removed_keys(host, state),
            authorized_keys=keys_text(host),
            program=program_text(host),
            sudoers=backup_sudoers_text(),
        )


def _reasons(host: Host, state: HostState) -> list[str]:
    if state.backup is None:
        return ["new account"]
    reasons = []
    if (state.backup.shell, state.backup.groups) != (BACKUP_PROGRAM, ()):
        reasons.append("shell and groups")
    if state.backup.authorized_keys != tuple(keys_text(host).splitlines()):
        reasons.append("the declared keys, and no others")
    if state.files.get(BACKUP_PROGRAM) != program_text(host):
        reasons.append("its program")
    if state.files.get(BACKUP_SUDOERS) != backup_sudoers_text():
        reasons.append("its two requests by sudo, and no others")
    if loose := [path for path in FILES if path in state.loose]:
        reasons.append(f"only root may change {' and '.join(loose)}")
    return reasons


def _removed_keys(host: Host, state: HostState) -> str:
    present = state.backup.authorized_keys if state.backup else ()
    wanted = keys_text(host).splitlines()
    return "\n".join(f"removes the key {key}" for key in present if key not in wanted)
