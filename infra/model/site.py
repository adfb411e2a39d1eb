"""The site file: the whole truth about a site, validated as a whole.

What belongs to the control machine (paths, secrets' values, Prefect's address) is not here
but in infra/settings.py.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, model_validator

from infra.model.base import Model
from infra.model.cron import check_cron, check_timezone

Domain = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$", max_length=253
    ),
    Field(examples=["cronova.dev"]),
]
Label = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
    Field(examples=["vps"]),
]
UserName = Annotated[
    str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$"), Field(examples=["linuxuser"])
]
Port = Annotated[int, Field(ge=1, le=65535, examples=[22])]
Cron = Annotated[str, AfterValidator(check_cron), Field(examples=["7 * * * *"])]
Timezone = Annotated[str, AfterValidator(check_timezone), Field(examples=["Europe/Berlin"])]
Version = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$"), Field(examples=["0.29.2"])
]
Megabytes = Annotated[int, Field(ge=16, le=1_048_576, examples=[256])]
PublicKey = Annotated[
    str,
    StringConstraints(pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+|sk-\S+) \S+( .*)?$"),
    Field(examples=["ssh-ed25519 AAAA… you@home"]),
]
Fingerprint = Annotated[
    str,
    StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$"),
    Field(examples=["SHA256:… as 'ssh-keygen -l' shows it"]),
]


#: Without user or port, which have keys of their own. An IPv6 address has two colons at least.
Address = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=253,
        pattern=r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
        r"|[0-9a-fA-F]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*)$",
    ),
]


def _not_root(user: str) -> str:
    if user == "root":
        raise ValueError("refused by sshd once the host is provisioned; write such as linuxuser")
    return user


def _absolute(path: PurePosixPath) -> PurePosixPath:
    if not path.is_absolute():
        raise ValueError("relative: from where is not known; write the whole path, from / on")
    return path


AbsolutePath = Annotated[PurePosixPath, AfterValidator(_absolute)]


def _without_password(location: str) -> str:
    if re.search(r"//[^@]*:[^@]*@", location):
        raise ValueError(
            "no place for a password; write it without user and password, and both into"
            " backup.credentials (RESTIC_REST_USERNAME: {secret: rest_user}, …)"
        )
    return location


class SecretRef(Model):
    """A secret by name; its value is in the environment or the secrets file."""

    secret: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
        Field(examples=["restic_password"]),
    ]


class PublishedPort(Model):
    """A port that is open to the internet."""

    port: Port
    protocol: Literal["tcp", "udp"] = "tcp"

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


class Docker(Model):
    """Settings of the host's Docker engine."""

    log_max_size: Annotated[str, StringConstraints(pattern=r"^\d+[km]$")] = "10m"
    log_max_file: Annotated[int, Field(ge=1, le=100)] = 3


class Host(Model):
    """One machine reachable by SSH, with its desired state."""

    address: Address = Field(description="IP address or host name.", examples=["203.0.113.10"])
    port: Port = Field(default=22, description="sshd's port.")
    first_user: UserName = Field(default="root", description="Who can log in on a new machine.")
    admin: Annotated[UserName, AfterValidator(_not_root)] = Field(
        default="linuxuser", description="Who administers it afterwards."
    )
    admin_keys: tuple[PublicKey, ...] = Field(
        min_length=1,
        description="Public SSH keys that may log in as the admin.",
        examples=[["ssh-ed25519 AAAA… you@home"]],
    )
    host_key: Fingerprint | None = Field(
        default=None, description="The host key's fingerprint, as the provider shows it."
    )
    timezone: Timezone = "UTC"
    docker: Docker = Docker()


class Derp(Model):
    """Relays for clients that find no direct path: Headscale's own (STUN on UDP 3478), and more."""

    region_id: Annotated[int, Field(ge=900, le=999)] = 999
    maps: tuple[str, ...] = Field(
        default=("https://controlplane.tailscale.com/derpmap/default",),
        description="URLs of public DERP maps, the fallback.",
    )


class SidecarBackup(Model):
    """What the host does by itself, with or without the control machine."""

    interval_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    keep_days: Annotated[int, Field(ge=1, le=365)] = 14


class Headscale(Model):
    """The headscale stack."""

    host: Label
    version: Version = "0.29.2"
    subdomain: Label = "hs"
    base_domain: Domain = Field(
        description="MagicDNS names end with it; not the server's domain.",
        examples=["mesh.cronova.dev"],
    )
    users: tuple[UserName, ...] = ()
    nameservers: tuple[IPv4Address, ...] = (IPv4Address("1.1.1.1"), IPv4Address("9.9.9.9"))
    derp: Derp = Derp()
    memory_mb: Megabytes = 256
    backup: SidecarBackup = SidecarBackup()


class Caddy(Model):
    """The caddy stack."""

    host: Label
    version: Version = "2.11.4"
    email: str | None = Field(default=None, description="For the certificate authority.")
    acme_directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    acme_root: AbsolutePath | None = Field(
        default=None, description="PEM file on the control machine; only for a private ACME server."
    )
    memory_mb: Megabytes = 128


class Stacks(Model):
    """What runs on the site's hosts."""

    headscale: Headscale
    caddy: Caddy


class Retention(Model):
    """How many restic snapshots `forget` keeps."""

    hourly: Annotated[int, Field(ge=0)] = 48
    daily: Annotated[int, Field(ge=0)] = 14
    weekly: Annotated[int, Field(ge=0)] = 8
    monthly: Annotated[int, Field(ge=0)] = 12


#: As restic's backends read it; any other variable would be for restic itself, or the machine.
BackendVariable = Annotated[
    str,
    StringConstraints(
        pattern=r"^(RESTIC_REST|AWS|B2|AZURE|GOOGLE|OS|ST|RCLONE)_[A-Z0-9_]{1,60}$",
    ),
    Field(examples=["RESTIC_REST_PASSWORD"]),
]


class Backup(Model):
    """Where snapshots go when they have left the host."""

    repository: Annotated[str, AfterValidator(_without_password)] = Field(
        description="restic repository: a path at home, or rest:/sftp:/s3:.",
        min_length=1,
        examples=["~/backups/headscale"],
    )
    password: SecretRef = Field(examples=[{"secret": "restic_password"}])
    credentials: dict[BackendVariable, SecretRef] = Field(
        default={},
        description="What a remote repository's server asks for, by restic's own names.",
        examples=[{"RESTIC_REST_PASSWORD": "{secret: rest_password}"}],
    )
    schedule: Cron = "7 * * * *"
    retention: Retention = Retention()


class Drill(Model):
    schedule: Cron = "30 4 * * 0"


class Network(Model):
    """How the control machine reaches the site; empty on the real internet."""

    resolver: IPv4Address | None = Field(
        default=None, description="DNS server to ask; default: the system's."
    )
    extra_root: AbsolutePath | None = Field(
        default=None, description="PEM file with a root to trust besides the system's."
    )


class Site(Model):
    """A domain with its hosts."""

    domain: Domain
    timezone: Timezone = Field(default="UTC", description="In which schedules are meant.")
    hosts: dict[Label, Host] = Field(min_length=1)
    stacks: Stacks
    backup: Backup
    drill: Drill = Drill()
    network: Network = Network()

    @property
    def name(self) -> str:
        """A site is called by its domain."""
        return self.domain

    @property
    def headscale_name(self) -> str:
        """Full host name of the Headscale server: `hs.cronova.dev`."""
        return f"{self.stacks.headscale.subdomain}.{self.domain}"

    @property
    def server_url(self) -> str:
        return f"https://{self.headscale_name}"

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> "Site":
        if info.context is PARTS_ONLY:
            return self
        problems = [problem for rule in RULES for problem in rule.check(self)]
        if problems:
            raise ValueError("\n".join(problems))
        return self


#: As validation context: check each part, and not yet how they go together.
PARTS_ONLY: dict[str, Any] = {"parts only": True}


def published_ports(site: Site, host: str) -> tuple[PublishedPort, ...]:
    """The ports that the stacks of `host` open to the internet; sshd's is not among them."""
    ports: list[PublishedPort] = []
    if site.stacks.caddy.host == host:
        ports += [PublishedPort(port=80), PublishedPort(port=443)]
        ports.append(PublishedPort(port=443, protocol="udp"))
    if site.stacks.headscale.host == host:
        ports.append(PublishedPort(port=3478, protocol="udp"))
    return tuple(ports)


def _unknown_hosts(site: Site) -> list[str]:
    named = {"headscale": site.stacks.headscale.host, "caddy": site.stacks.caddy.host}
    known = ", ".join(site.hosts)
    return [
        f"stacks.{stack}.host: no host is called {host!r}; write one of: {known}"
        for stack, host in named.items()
        if host not in site.hosts
    ]


def _stacks_apart(site: Site) -> list[str]:
    headscale, caddy = site.stacks.headscale.host, site.stacks.caddy.host
    if headscale == caddy or not {headscale, caddy} <= site.hosts.keys():
        return []
    return [
        f"stacks.caddy.host: {caddy!r} is another host than headscale's, which Caddy reaches on "
        f"its own host only; write {headscale}"
    ]


def _swallowed_names(site: Site) -> list[str]:
    base, server = site.stacks.headscale.base_domain, site.headscale_name
    if server == base or server.endswith(f".{base}"):
        return [
            f"stacks.headscale.base_domain: {base!r} would swallow {server}, so clients could not "
            f"find the server; write another, such as 'mesh.{site.domain}'"
        ]
    return []


def _port_collisions(site: Site) -> list[str]:
    return [
        f"hosts.{name}.port: {host.port}/tcp is also published by a stack; write another port"
        for name, host in site.hosts.items()
        if PublishedPort(port=host.port) in published_ports(site, name)
    ]


class Rule(NamedTuple):
    """How parts of a site go together; `reads` are their paths, `*` for any name."""

    reads: tuple[tuple[str, ...], ...]
    check: Callable[[Site], list[str]]


_HEADSCALE_HOST = ("stacks", "headscale", "host")
_CADDY_HOST = ("stacks", "caddy", "host")

RULES = (
    Rule((("hosts", "*"), _HEADSCALE_HOST, _CADDY_HOST), _unknown_hosts),
    Rule((("hosts", "*"), _HEADSCALE_HOST, _CADDY_HOST), _stacks_apart),
    Rule(
        (
            ("domain",),
            ("stacks", "headscale", "subdomain"),
            ("stacks", "headscale", "base_domain"),
        ),
        _swallowed_names,
    ),
    Rule(
        (("hosts", "*", "port"), _HEADSCALE_HOST, _CADDY_HOST),
        _port_collisions,
    ),
)
