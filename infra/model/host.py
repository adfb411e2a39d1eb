"""What a host is like.

A host's state comes from the host, which is assumed compromised: everything is bounded.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from infra.model.base import Model
from infra.model.fields import Port

Text = Annotated[str, StringConstraints(max_length=4096)]
FileContent = Annotated[str, StringConstraints(max_length=64 * 1024)]
Amount = Annotated[int, Field(ge=0, lt=2**63)]
Lines = Annotated[tuple[Text, ...], Field(max_length=1_000)]
Moment = Annotated[float, Field(ge=0, lt=1e11)]


class Account(Model):
    shell: Text
    groups: Lines
    authorized_keys: Lines = Field(description="Lines without comments and empty ones.")


class FileMode(Model):
    """Who may do what with a file."""

    mode: Annotated[int, Field(ge=0, le=0o7777)]
    owner: Text


class Firewall(Model):
    """UFW as it is written down, and what of it is live in the kernel."""

    enabled: bool
    policy: Text = Field(description="For what comes in; `DROP` is wanted.")
    rules: Lines = Field(description="UFW's own tuples, IPv4 then IPv6: `allow tcp 22 …`.")
    live_policies: Lines = Field(
        description="Of the kernel's INPUT chains: IPv4's, then IPv6's where there is one."
    )
    live_docker: Lines = Field(description="The kernel's DOCKER-USER rules (IPv4).")
    live_docker6: Lines | None = Field(description="IPv6's; None where the kernel has no tables.")
    live_input: Lines = Field(
        description="Rules of the kernel's INPUT chains that are no other program's: made by hand."
    )


class Listener(Model):
    """A program that others can reach, unless a firewall stands between."""

    port: Port
    protocol: Literal["tcp", "udp"]
    address: IPv4Address | IPv6Address
    process: Text = Field(description="Its name, as the kernel shortens it; empty: unknown.")


class Engine(Model):
    """The Docker engine that answered on its socket."""

    version: Text
    live_restore: bool
    log_driver: Text


class Machine(Model):
    """What the host really has: the smaller of the machine and its cgroup."""

    ram_bytes: Amount
    architecture: Text = Field(description="Of its processor, as `uname -m` says it.")
    cores: Annotated[float, Field(ge=0, le=10_000)]
    disk_bytes: Amount
    disk_free_bytes: Amount
    filesystem: Text = Field(description="Of `/`.")
    settable: Annotated[tuple[Literal["swap", "time", "kernel"], ...], Field(max_length=3)] = Field(
        description="What of these its root may change."
    )
    kernel: Text
    virtualisation: Text = Field(description="`docker`, … for a container; `vm`; `none`.")
    provider: Text = Field(description="As the machine's firmware tells it; empty: unknown.")
    clock: Moment = Field(description="Its time, seconds, UTC.")
    clock_offset: float = Field(
        default=0, description="Seconds by which its clock is ahead of ours; ours to say."
    )

    @property
    def container(self) -> bool:
        """Whether swap, clock and most kernel settings belong to the machine below."""
        return self.virtualisation not in ("vm", "none")


class HealthState(Model):
    """What changes by itself. Times in seconds, UTC, of the host's clock; 0: never."""

    security_updates: Lines | None = Field(description="Packages; None: apt could not tell.")
    lists_at: Moment = Field(description="When it last asked which updates there are.")
    upgraded_at: Moment = Field(description="When unattended-upgrades last ended well.")
    upgrades_since: Moment = Field(description="Since when it is set up.")
    reboot_required_since: Moment
    failed_units: Lines | None = Field(description="None: systemd could not tell.")
    banned: Amount | None = Field(description="Addresses; None: fail2ban's jail does not answer.")
    ram_free_bytes: Amount


def _with_ports(settings: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The firewall lets in where sshd listens: with no such port we would be shut out."""
    ports = settings.get("port", ("22",))
    if not ports or not all(re.fullmatch("[0-9]{1,5}", p) and 0 < int(p) < 65_536 for p in ports):
        raise ValueError("sshd listens on no port")
    return settings


class HostState(Model):
    """A host as observed in one round trip."""

    os: Text = Field(description="`ID` of /etc/os-release.")
    os_version: Text = Field(description="`VERSION_ID` of /etc/os-release.")
    packages: dict[Text, Text] = Field(description="Installed version of those asked for.")
    unfinished: bool = Field(description="Whether an installation of packages was broken off.")
    admin: Account | None
    backup: Account | None = Field(description="Who may only fetch snapshots.")
    other_accounts: dict[Text, Lines] = Field(
        max_length=100, description="Who else logs in by keys or becomes root, and by what."
    )
    sshd: Annotated[dict[Text, Lines], AfterValidator(_with_ports)] = Field(
        description="Effective settings for root and the admin from outside, as `sshd -T -C` "
        "prints them; where the two differ, both."
    )
    match_blocks: Lines = Field(description="Heads of sshd's conditional blocks that are not ours.")
    files: dict[Text, FileContent] = Field(description="Text of those asked for that exist.")
    loose: Lines = Field(description="Files of those that others than root may change or replace.")
    timezone: Text
    enabled: Lines = Field(description="Units that start at boot.")
    firewall: Firewall
    engine: Engine | None
    machine: Machine
    running: Lines = Field(description="Services that run.")
    applied: dict[Text, Text] = Field(
        max_length=100, description="By item: the digest of the configuration that went live last."
    )
    sysctl: dict[Text, Text] = Field(max_length=100, description="Of those asked for.")
    swaps: dict[Text, Amount] = Field(max_length=100, description="Active areas: path to bytes.")
    swap_file_bytes: Amount = Field(description="Of our file on the disk, and its unfinished one.")
    clock_set: bool = Field(description="By systemd-timesyncd, since the boot.")
    modes: dict[Text, FileMode] = Field(max_length=100, description="Of those that exist.")
    unconfirmed: bool = Field(
        description="Whether a guarded change waits to be confirmed, or is being taken back."
    )
    cloud_init_runs: bool = Field(description="Whether its first boot is still under way.")
    peer: IPv4Address | IPv6Address | None = Field(
        description="The address from which we come, as the host sees it."
    )
    listeners: tuple[Listener, ...] = Field(
        max_length=200, description="Who listens on an address that is not the host's own alone."
    )
    more_listeners: bool = Field(description="Whether there are more than these.")
