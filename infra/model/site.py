"""The site file: the whole truth about a site, validated as a whole.

What belongs to the control machine (paths, secrets' values, Prefect's address) is not here
but in infra/settings.py.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from infra.model.base import Model
from infra.model.declaration import Declarations, built_in
from infra.model.fields import (
    AbsolutePath,
    Address,
    BackendVariable,
    Cron,
    Domain,
    Fingerprint,
    Label,
    Megabytes,
    Port,
    PublicKey,
    TimeOfDay,
    Timezone,
    UserName,
    Variable,
    Version,
    not_root,
    without_password,
)
from infra.model.site_rules import RULES


class SecretRef(Model):
    """A secret by name; its value is in the environment or the secrets file."""

    secret: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
        Field(examples=["restic_password"]),
    ]


class Docker(Model):
    """Settings of the host's Docker engine."""

    log_max_size: Annotated[str, StringConstraints(pattern=r"^\d+[km]$")] = "10m"
    log_max_file: Annotated[int, Field(ge=1, le=100)] = 3


class Jump(Model):
    """A machine that a host is reached through; it stays as it is."""

    address: Address = Field(
        description="IP address or host name.", examples=["bastion.example.org"]
    )
    port: Port = Field(default=22, description="sshd's port.")
    user: UserName = Field(description="Who logs in there, by the same key.", examples=["me"])
    host_key: Fingerprint | None = Field(
        default=None, description="The host key's fingerprint, pinned like the host's own."
    )


class Host(Model):
    """One machine reachable by SSH, with its desired state."""

    address: Address = Field(description="IP address or host name.", examples=["203.0.113.10"])
    port: Port = Field(default=22, description="sshd's port.")
    first_user: UserName = Field(default="root", description="Who can log in on a new machine.")
    sudo_password: SecretRef | None = Field(
        default=None,
        description="What sudo asks the first user for on a new machine; none: it asks for nothing. "
        "Not needed any more once the host is provisioned.",
        examples=[{"secret": "sudo_password"}],
    )
    admin: Annotated[UserName, AfterValidator(not_root)] = Field(
        default="linuxuser", description="Who administers it afterwards."
    )
    admin_keys: tuple[PublicKey, ...] = Field(
        min_length=1,
        description="Public SSH keys that may log in as the admin.",
        examples=[["ssh-ed25519 AAAA… you@home"]],
    )
    backup_keys: tuple[PublicKey, ...] = Field(
        default=(),
        description="Public SSH keys that can do nothing but fetch snapshots, for the hourly "
        "backup; none: it logs in as the admin.",
        examples=[["ssh-ed25519 AAAA… backup@home"]],
    )
    host_key: Fingerprint | None = Field(
        default=None, description="The host key's fingerprint, as the provider shows it."
    )
    jump: Jump | None = Field(
        default=None,
        description="The jump host before it, which then knows its address. Default: none.",
        examples=[{"address": "bastion.example.org", "user": "me"}],
    )
    timezone: Timezone = "UTC"
    ssh_from: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="Networks from which SSH is reachable; none: from anywhere.",
        examples=[["203.0.113.0/24"]],
    )
    foreign_rules: Literal["keep", "remove"] = Field(
        default="keep", description="What becomes of firewall rules that are not meshkeeper's."
    )
    reboot_at: TimeOfDay | None = Field(
        default="04:30",
        description="When it may reboot after security updates that need it, in its time zone; "
        "null: never by itself.",
    )
    swap_mb: Megabytes | None = Field(
        default=1024,
        description="Swap in MiB, as a file, unless the host has as much of another kind; null: none.",
    )
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


class OtherStack(Model):
    """Any other stack that is declared: meshkeeper's, or one of your own."""

    host: Label
    version: Version | None = Field(default=None, description="For its templates.")
    memory_mb: Megabytes = Field(description="The limit of its main container.", examples=[64])
    values: dict[Variable, str | int | bool] = Field(
        default={}, description="What else its templates ask for."
    )
    secrets: dict[Variable, SecretRef] = Field(
        default={},
        description="Those that its stack.yaml needs, by the names there.",
        examples=[{"api_token": "{secret: status_api_token}"}],
    )


class Stacks(Model):
    """What runs on the site's hosts; any other declared stack by its name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, OtherStack]

    headscale: Headscale
    caddy: Caddy

    @property
    def named(self) -> dict[str, Headscale | Caddy | OtherStack]:
        """All of them, by name."""
        return {"headscale": self.headscale, "caddy": self.caddy, **self.__pydantic_extra__}

    @property
    def secrets(self) -> dict[str, dict[str, SecretRef]]:
        """By stack, and by the name that its stack.yaml has for it."""
        return {name: stack.secrets for name, stack in self.__pydantic_extra__.items()}


class Retention(Model):
    """How many restic snapshots `forget` keeps."""

    hourly: Annotated[int, Field(ge=0)] = 48
    daily: Annotated[int, Field(ge=0)] = 14
    weekly: Annotated[int, Field(ge=0)] = 8
    monthly: Annotated[int, Field(ge=0)] = 12


class Backup(Model):
    """Where snapshots go when they have left the host."""

    repository: Annotated[str, AfterValidator(without_password)] = Field(
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


class Audit(Model):
    schedule: Cron | None = Field(
        default="50 6 * * *", description="null: only when asked for; it needs the admin's key."
    )


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
    audit: Audit = Audit()
    network: Network = Network()
    _declared: Declarations = PrivateAttr(default_factory=built_in)

    @property
    def declared(self) -> Declarations:
        """The stacks that a site may name: those of meshkeeper, and those beside the site file."""
        return self._declared

    @property
    def name(self) -> str:
        """A site is called by its domain."""
        return self.domain

    @property
    def headscale_name(self) -> str:
        """Full host name of the Headscale server: `hs.cronova.dev`."""
        return f"{self.stacks.headscale.subdomain}.{self.domain}"

    @property
    def pages(self) -> dict[str, str]:
        """Stack → full host name of its page, of those that have one: `status.cronova.dev`."""
        pages = {name: self.declared[name].declaration.web for name in self.stacks.named}
        return {name: f"{web.name}.{self.domain}" for name, web in pages.items() if web}

    @property
    def server_url(self) -> str:
        return f"https://{self.headscale_name}"

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> "Site":
        if isinstance(info.context, Reading):
            self._declared = info.context.declared
            if info.context.parts_only:
                return self
        problems = [problem for rule in RULES for problem in rule.check(self)]
        if problems:
            raise ValueError("\n".join(problems))
        return self


class Reading(NamedTuple):
    """As validation context: the stacks that may be named; whether to check each part only, and not
    yet how they go together."""

    declared: Declarations
    parts_only: bool = False
