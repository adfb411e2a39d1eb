"""Who logs in where: a host of the site file, as its administrator or as who it came with."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

from infra.access.anchor import known_hosts_path
from infra.errors import BadInput
from infra.model.fields import BACKUP_USER
from infra.model.site import Site
from infra.settings import Settings, read_secret


class Login(BaseModel):
    """Who logs in where. `name` is the host's name in the site file, for messages.

    `previous_key_file`: offered where `key_file` is refused.
    `declared_keys`: the public keys that the site file gives the admin, ours among them.
    `sudo_password`: what sudo may ask this user for.
    `lock_token`: whose right each change checks on the host; empty for who changes nothing.
    `jump`: the machine from which the address is reached, with our key too.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    address: str
    user: str
    known_hosts: Path
    port: int = 22
    key_file: Path | None = None
    previous_key_file: Path | None = None
    declared_keys: tuple[str, ...] = ()
    sudo_password: SecretStr | None = None
    lock_token: str = ""
    jump: "Login | None" = None
    key_advice: str = (
        "Point MESHKEEPER_SSH_KEY to a key that this user's authorized_keys holds, or leave it empty "
        "and give an SSH agent such a key (ssh-add)."
    )

    @property
    def pinned_as(self) -> str:
        """The host's name in OpenSSH's known_hosts."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"

    def by(self, key_file: Path | None) -> "Login":
        """The same with just this key; None: with one that was found."""
        return self.model_copy(update={"key_file": key_file, "previous_key_file": None})

    def __str__(self) -> str:
        through = f" through {self.jump.name}" if self.jump else ""
        return f"{self.name} ({self.user}@{self.address}:{self.port}{through})"


#: While the admin's key is rotated.
PROVISION_FIRST = (
    "Run `meshkeeper provision`: it lets the new key in, while the one in "
    "MESHKEEPER_PREVIOUS_SSH_KEY still opens the host."
)


def admin_login(settings: Settings, site: Site, host_name: str) -> Login:
    """The login of the host's administrator, who may be the first user.

    Raises BadInput when the site has no such host, or a secret is missing.
    """
    host = site.hosts.get(host_name)
    if host is None:
        known = ", ".join(site.hosts)
        raise BadInput(f"The site {site.name} has no host {host_name!r}.", f"It has: {known}.")
    key_file = settings.ssh_key.expanduser() if settings.ssh_key else None
    advice = {"key_advice": PROVISION_FIRST} if settings.previous_ssh_key else {}
    known_hosts = known_hosts_path(settings, site.name)
    jump = host.jump and Login(
        # As its place in the site file is called; no host's name has a dot.
        name=f"{host_name}.jump",
        address=host.jump.address,
        port=host.jump.port,
        user=host.jump.user,
        key_file=key_file,
        known_hosts=known_hosts,
    )
    return Login(
        name=host_name,
        address=host.address,
        port=host.port,
        user=host.admin,
        key_file=key_file,
        known_hosts=known_hosts,
        declared_keys=host.admin_keys,
        sudo_password=host.sudo_password and read_secret(settings, host.sudo_password),
        jump=jump,
        **advice,
    )


def rotating_login(settings: Settings, site: Site, host_name: str) -> Login:
    """The administrator's, also by the previous key where settings name one: for provisioning."""
    login = admin_login(settings, site, host_name)
    if settings.previous_ssh_key is None:
        return login
    both = {"previous_key_file": settings.previous_ssh_key.expanduser()}
    jump = login.jump and login.jump.model_copy(update=both)
    return login.model_copy(update={**both, "jump": jump})


def backup_login(settings: Settings, site: Site, host_name: str) -> Login:
    """Who fetches the host's snapshots: the account that can do nothing else, if keys are declared.

    Otherwise the administrator. Raises BadInput without such a host, or without a key file.
    """
    admin = admin_login(settings, site, host_name)
    if not site.hosts[host_name].backup_keys:
        return admin
    if settings.backup_ssh_key is None:
        raise BadInput(
            f"hosts.{host_name}.backup_keys names keys, but not which private key is here.",
            "Name its file in MESHKEEPER_BACKUP_SSH_KEY, or declare no backup_keys: then the "
            "admin's key is used.",
        )
    advice = (
        "Point MESHKEEPER_BACKUP_SSH_KEY to a key without passphrase whose public half is in "
        f"hosts.{host_name}.backup_keys, and run `meshkeeper provision`, which lets it in."
    )
    key_file = settings.backup_ssh_key.expanduser()
    return admin.model_copy(
        update={
            "user": BACKUP_USER,
            "key_file": key_file,
            "key_advice": advice,
            "sudo_password": None,
        }
    )


def first_login(settings: Settings, site: Site, host_name: str) -> Login:
    """The login that a new machine comes with."""
    login = admin_login(settings, site, host_name)
    user = site.hosts[host_name].first_user
    return login.model_copy(update={"user": user})
