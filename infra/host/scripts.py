"""What each change of a host means as a shell script for root. Pure."""

from shlex import quote

from infra.host.backup_script import backup_account
from infra.model.host import (
    HardenSshd,
    HostChange,
    InstallPackages,
    SetAdmin,
    SetBackupAccount,
    SetDocker,
    SetFirewall,
    SetTimezone,
)
from infra.planning.host_files import BEGIN, DAEMON, END, SSHD_DROP_IN, SUDOERS, UFW_BLOCKS

_HEAD = "set -eu\nexport LC_ALL=C DEBIAN_FRONTEND=noninteractive\n"
# A machine that has just booted may be upgrading itself: apt's lock is waited for.
_APT = "apt-get -qq -o DPkg::Lock::Timeout=300"


def script_of(change: HostChange) -> str:
    """The script that makes this change; run twice, it ends in the same state."""
    match change:
        case InstallPackages():
            return _HEAD + install(change.packages)
        case SetTimezone():
            return _HEAD + timezone(change.timezone)
        case SetAdmin():
            return _HEAD + admin(change)
        case SetBackupAccount():
            return _HEAD + backup_account(change)
        case HardenSshd():
            return _HEAD + sshd(change)
        case SetFirewall():
            return _HEAD + firewall(change)
        case SetDocker():
            return _HEAD + docker(change)


def install(packages: tuple[str, ...]) -> str:
    names = " ".join(map(quote, packages))
    return f"{_APT} update\n{_APT} install -y --no-install-recommends {names} >/dev/null\n"


def timezone(name: str) -> str:
    zone = quote(name)
    return (
        f"[ -e /usr/share/zoneinfo/{zone} ] ||"
        f" {{ echo 'the host knows no time zone '{zone} >&2; exit 1; }}\n"
        f"ln -sfn /usr/share/zoneinfo/{zone} /etc/localtime\necho {zone} >/etc/timezone\n"
    )


def admin(change: SetAdmin) -> str:
    user = quote(change.user)
    keys = "".join(f"{key}\n" for key in change.public_keys)
    return f"""\
id {user} >/dev/null 2>&1 || useradd --create-home {user}
usermod --shell /bin/bash --append --groups sudo {user}
home=$(getent passwd {user} | cut -d: -f6)
install -d -m 700 -o {user} -g {user} "$home/.ssh"
{_write('"$home/.ssh/authorized_keys.new"', keys)}
chown {user}:{user} "$home/.ssh/authorized_keys.new"
chmod 600 "$home/.ssh/authorized_keys.new"
mv "$home/.ssh/authorized_keys.new" "$home/.ssh/authorized_keys"
umask 337
{_write("/etc/sudoers.new", change.sudoers)}
visudo -cqf /etc/sudoers.new
mv /etc/sudoers.new {SUDOERS}
# Without it the first login after a pause waits for the user's own systemd.
loginctl enable-linger {user}
"""


def sshd(change: HardenSshd) -> str:
    return f"""\
mkdir -p {SSHD_DROP_IN.rpartition("/")[0]} /run/sshd
{_write(SSHD_DROP_IN, change.drop_in)}
sshd -t
systemctl reload ssh
"""


def firewall(change: SetFirewall) -> str:
    """Never off in between: what is missing is added, what is not wanted is deleted."""
    allows = "".join(f"ufw allow {quote(port)} >/dev/null\n" for port in change.ports)
    blocks = "".join(
        f"sed -i '/^{BEGIN}$/,/^{END}$/d' {path}\n{_append(path, change.block)}\n"
        for path in UFW_BLOCKS
    )
    return f"""\
ufw default deny incoming >/dev/null
ufw default allow outgoing >/dev/null
{allows}{_delete_other_rules(change.rules)}{blocks}\
ufw --force enable >/dev/null
ufw reload >/dev/null
"""


def _delete_other_rules(wanted: tuple[str, ...]) -> str:
    """UFW numbers its rules as its two files list them; the last goes first."""
    keep = "".join(f"### tuple ### {rule}\n" for rule in wanted)
    return f"""\
numbers=$(cat /etc/ufw/user.rules /etc/ufw/user6.rules | grep '^### tuple ###' \
    | grep -nvxF {quote(keep.strip())} | cut -d: -f1 | sort -rn) || true
for number in $numbers; do ufw --force delete "$number" >/dev/null; done
"""


def docker(change: SetDocker) -> str:
    """Settings before the engine's first start; a running one learns live-restore by a reload."""
    return f"""\
mkdir -p /etc/docker
{_write(DAEMON, change.daemon)}
systemctl reload docker.service 2>/dev/null || true
{install(change.packages) if change.packages else ""}\
systemctl -q enable docker.service
systemctl restart docker.service
"""


def _write(path: str, content: str) -> str:
    return f"printf %s {quote(content)} >{path}"


def _append(path: str, content: str) -> str:
    return f"printf %s {quote(content)} >>{path}"
