"""The account that can do nothing but fetch snapshots, as a shell script for root. Pure."""

from shlex import quote

from infra.model.fields import BACKUP_USER
from infra.model.host_change import SetBackupAccount
from infra.planning.host_backup import BACKUP_HOME, BACKUP_KEYS, BACKUP_PROGRAM, BACKUP_SUDOERS

_PROGRAM_FOLDER = BACKUP_PROGRAM.rpartition("/")[0]
#: Keys first: from then on nobody comes in, wherever the script ends.
_REMOVE = f"""\
rm -rf {BACKUP_HOME}
rm -f {BACKUP_SUDOERS} {BACKUP_PROGRAM}
loginctl terminate-user {BACKUP_USER} 2>/dev/null || true
! id {BACKUP_USER} >/dev/null 2>&1 || userdel --force {BACKUP_USER} 2>/dev/null
"""


def backup_account(change: SetBackupAccount) -> str:
    """Keys last: nobody comes in before what binds them is there. Without keys it all goes."""
    if not change.authorized_keys:
        return _REMOVE
    return f"""\
install -d -m 755 -o root -g root {_PROGRAM_FOLDER} {BACKUP_HOME} {BACKUP_HOME}/.ssh
{_replace(BACKUP_PROGRAM, change.program, 755)}
id {BACKUP_USER} >/dev/null 2>&1 || useradd --system --user-group --no-create-home {BACKUP_USER}
# No password is the hash '*'; sshd would take the usual '!' for a locked account without PAM.
usermod --home {BACKUP_HOME} --shell {BACKUP_PROGRAM} --groups '' --password '*' {BACKUP_USER}
{_write("/etc/sudoers.new", change.sudoers)}
visudo -cqf /etc/sudoers.new
chmod 440 /etc/sudoers.new
mv /etc/sudoers.new {BACKUP_SUDOERS}
{_replace(BACKUP_KEYS, change.authorized_keys, 644)}
"""


def _replace(path: str, content: str, mode: int) -> str:
    """A new file of root's in one moment, whoever owned the old one."""
    return f"{_write(f'{path}.new', content)}\nchmod {mode} {path}.new\nmv {path}.new {path}"


def _write(path: str, content: str) -> str:
    return f"rm -f {path}\nprintf %s {quote(content)} >{path}"
