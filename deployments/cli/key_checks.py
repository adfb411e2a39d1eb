"""What `doctor` looks at in SSH keys: the private ones here, and what the site file lets in."""

import os
from pathlib import Path

from deployments.cli.check import Check, attempt
from infra.access.login import backup_login
from infra.access.private_key import public_half
from infra.errors import BadInput
from infra.model.site import Site
from infra.settings import Settings
from infra.text import counted

#: Stands in the key of the example that `init` writes.
PLACEHOLDER = "REPLACEWITHYOURPUBLICKEY"


def checks_of_keys(settings: Settings, site: Site) -> list[Check]:
    """The admin's key, and the backup's where the site declares one."""
    declaring = [name for name, host in site.hosts.items() if host.backup_keys]
    return [
        _ssh_key(settings),
        *(attempt(f"keys of {host}", _admin_keys, site, host) for host in site.hosts),
        *(
            attempt(f"backup key of {host}", _backup_key, settings, site, host)
            for host in declaring
        ),
    ]


def _ssh_key(settings: Settings) -> Check:
    if settings.ssh_key is None:
        found = sorted(Path("~/.ssh").expanduser().glob("id_*"))
        defaults = [key.name for key in found if key.suffix != ".pub"]
        offered = [*(["your agent's"] if os.environ.get("SSH_AUTH_SOCK") else []), *defaults]
        todo = "Make one with ssh-keygen, or name one in MESHKEEPER_SSH_KEY."
        return Check("SSH key", ", ".join(offered) or "there is none", "" if offered else todo)
    path = settings.ssh_key.expanduser()
    if not path.is_file():
        todo = "Make one with ssh-keygen, or set MESHKEEPER_SSH_KEY to another."
        return Check("SSH key", f"{path} is no file", todo)
    if path.stat().st_mode & 0o077:
        return Check("SSH key", f"others can read {path}", f"Run: chmod 600 {path}")
    return Check("SSH key", str(path))


def _admin_keys(site: Site, host: str) -> str:
    keys = site.hosts[host].admin_keys
    if any(PLACEHOLDER in key for key in keys):
        raise BadInput(
            "The example's key stands there, which nobody has.",
            f"Write your public key into hosts.{host}.admin_keys: cat ~/.ssh/id_ed25519.pub",
        )
    return f"{counted(len(keys), 'key')} may log in as {site.hosts[host].admin}"


def _backup_key(settings: Settings, site: Site, host: str) -> str:
    """Nobody is there at night to type a passphrase, or to see that a wrong key is refused."""
    path = backup_login(settings, site, host).key_file
    if path is None or not path.is_file():
        raise BadInput(
            f"{path} is no file.",
            "Make one with ssh-keygen -N '', or set MESHKEEPER_BACKUP_SSH_KEY to another.",
        )
    if path.stat().st_mode & 0o077:
        raise BadInput(f"Others can read {path}.", f"Run: chmod 600 {path}")
    public = public_half(path)
    if public not in {" ".join(key.split()[:2]) for key in site.hosts[host].backup_keys}:
        raise BadInput(
            f"The public half of {path} is none of hosts.{host}.backup_keys.",
            f"Write it there: {public}",
        )
    return f"{path} can fetch snapshots, and nothing else"
