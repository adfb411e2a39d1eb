"""What each change of a host means as a shell script for root. Pure."""

from shlex import quote

from infra.host.backup_script import backup_account
from infra.model.host_change import (
    Configure,
    HardenSshd,
    HostChange,
    RemovePackages,
    SetAdmin,
    SetBackupAccount,
    SetFirewall,
    SetModes,
    SetTimezone,
)
from infra.planning.host_access import SSHD_DROP_IN, SUDOERS
from infra.planning.host_firewall import BEGIN, COMMENT, END, UFW_BLOCKS

#: What went live last, a file per item: a run that is killed between writing and starting leaves none.
APPLIED = "/var/lib/meshkeeper/applied"

# Few programs say that they failed for want of room. A machine that has just booted may be upgrading
# itself: apt's lock is waited for; that of its lists it does not wait for by itself. A package that
# asks what to do with a file of somebody's keeps it: its question would be answered by our script.
# Why a package can't be had is told by the update, which succeeds with a dead mirror, too.
_HEAD = """\
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
explain() {
    status=$?
    [ $status = 0 ] || df -k --output=avail,target /etc /home /usr /var | sort -u | while read -r free place; do
        [ "$free" = Avail ] || [ "$free" -ge 1024 ] || echo "No space left on $place" >&2
    done
    exit $status
}
trap explain EXIT
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o DPkg::Options::=--force-confold "$@"; }
apt_install() {
    tries=0
    until said=$(apt update 2>&1); do
        tries=$((tries + 1))
        case "$said" in *lists/lock*) [ $tries -lt 60 ] ;; *) false ;; esac || { echo "$said" >&2; exit 1; }
        sleep 5
    done
    apt install -y --no-install-recommends "$@" >/dev/null || { echo "$said" >&2; exit 1; }
}
"""


def script_of(change: HostChange) -> str:  # noqa: C901 - a table, whose gaps mypy sees
    """The script that makes this change; run twice, it ends in the same state."""
    match change:
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
        case Configure():
            return _HEAD + configure(change)
        case RemovePackages():
            return _HEAD + f"apt purge -y {' '.join(map(quote, change.packages))} >/dev/null\n"
        case SetModes():
            return _HEAD + modes(change)


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
{_replace(SSHD_DROP_IN, change.drop_in)}
sshd -t
systemctl reload ssh
"""


def firewall(change: SetFirewall) -> str:
    """Never off in between: what is missing is added, what is not wanted is deleted."""
    allows = "".join(f"ufw allow {rule} comment {COMMENT} >/dev/null\n" for rule in change.allow)
    blocks = "".join(
        f"sed -i '/^{BEGIN}$/,/^{END}$/d' {path}\n{_append(path, change.block)}\n"
        for path in UFW_BLOCKS
    )
    return f"""\
ufw default deny incoming >/dev/null
ufw default allow outgoing >/dev/null
{allows}{_delete(change.remove)}{blocks}\
ufw --force enable >/dev/null
ufw reload >/dev/null
"""


def _delete(rules: tuple[str, ...]) -> str:
    """UFW numbers its rules as its two files list them; the last goes first."""
    if not rules:
        return ""
    unwanted = "\n".join(f"### tuple ### {rule}" for rule in rules)
    return f"""\
numbers=$(cat /etc/ufw/user.rules /etc/ufw/user6.rules | grep '^### tuple ###' \\
    | grep -nxF {quote(unwanted)} | cut -d: -f1 | sort -rn) || true
for number in $numbers; do ufw --force delete "$number" >/dev/null; done
"""


def configure(change: Configure) -> str:
    """Files before packages: a service that begins when it is installed begins with them."""
    files = "".join(
        f"mkdir -p {file.path.rpartition('/')[0]}\n{_replace(file.path, file.text)}\n"
        for file in change.files
    )
    names = " ".join(map(quote, change.packages))
    packages = f"apt_install {names}\n" if names else ""
    stamp = f"{APPLIED}/{change.item}"
    return (
        f"mkdir -p -m 700 {APPLIED}\nrm -f {stamp}\n{files}{packages}{change.activate}"
        f"{_write(stamp, change.digest)}\n"
    )


def modes(change: SetModes) -> str:
    return "".join(
        f"chown root {path}\nchmod {mode:04o} {path}\n" for path, mode in change.modes.items()
    )


def _replace(path: str, content: str) -> str:
    """In one moment: where there is no room for it, what was there stays."""
    return f"{_write(f'{path}.new', content)}\nmv {path}.new {path}"


def _write(path: str, content: str) -> str:
    return f"printf %s {quote(content)} >{path}"


def _append(path: str, content: str) -> str:
    return f"printf %s {quote(content)} >>{path}"
