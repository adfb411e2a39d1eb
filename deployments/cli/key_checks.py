"""What `doctor` looks at in SSH keys: the private ones here, and what the site file lets in."""

import os
from contextlib import closing
from pathlib import Path

from deployments.cli.check import Check, attempt
from infra.access.login import backup_login
from infra.access.private_key import KeyAgent, private_key, public_half, unlocked_key
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
        attempt("SSH key", _ssh_key, settings),
        *(attempt(f"keys of {host}", _admin_keys, settings, site, host) for host in site.hosts),
        *(
            attempt(f"backup key of {host}", _backup_key, settings, site, host)
            for host in declaring
        ),
    ]


def _ssh_key(settings: Settings) -> str:
    if settings.ssh_key is None:
        return _found_keys()
    path = settings.ssh_key.expanduser()
    if not path.is_file():
        raise BadInput(
            f"{path} is no file.", "Make one with ssh-keygen, or set MESHKEEPER_SSH_KEY to another."
        )
    if path.stat().st_mode & 0o077:
        raise BadInput(f"Others can read {path}.", f"Run: chmod 600 {path}")
    with closing(KeyAgent()) as agent:
        private_key(path, agent)
    return str(path) if unlocked_key(path) else f"{path}, with its passphrase in your agent"


def _found_keys() -> str:
    found = sorted(Path("~/.ssh").expanduser().glob("id_*"))
    defaults = [key.name for key in found if key.suffix != ".pub"]
    offered = [*(["your agent's"] if os.environ.get("SSH_AUTH_SOCK") else []), *defaults]
    if not offered:
        raise BadInput(
            "There is none.", "Make one with ssh-keygen, or name one in MESHKEEPER_SSH_KEY."
        )
    return ", ".join(offered)


def _admin_keys(settings: Settings, site: Site, host: str) -> str:
    keys = site.hosts[host].admin_keys
    if any(PLACEHOLDER in key for key in keys):
        raise BadInput(
            "The example's key stands there, which nobody has.",
            f"Write your public key into hosts.{host}.admin_keys: cat ~/.ssh/id_ed25519.pub",
        )
    if settings.ssh_key and settings.ssh_key.is_file():
        _require_declared(settings.ssh_key, f"hosts.{host}.admin_keys", keys)
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
    if unlocked_key(path) is None:
        raise BadInput(f"The key {path} has a passphrase.", "Make one without: ssh-keygen -N ''.")
    _require_declared(path, f"hosts.{host}.backup_keys", site.hosts[host].backup_keys)
    return f"{path} can fetch snapshots, and nothing else"


def _require_declared(path: Path, place: str, keys: tuple[str, ...]) -> None:
    public = public_half(path)
    if public not in {" ".join(key.split()[:2]) for key in keys}:
        raise BadInput(
            f"The public half of {path} is none of {place}.", f"Write it there: {public}"
        )
