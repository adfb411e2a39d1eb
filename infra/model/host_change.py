"""What has to change on a host, and what a provisioning did."""

from typing import Annotated, Literal

from pydantic import Field

from infra.model.base import Model
from infra.model.host import Machine
from infra.model.plan import Change


class RemovePackages(Change):
    kind: Literal["needless"] = "needless"
    packages: tuple[str, ...]


class SetModes(Change):
    """Files that must be root's, with no more than these bits."""

    kind: Literal["modes"] = "modes"
    modes: dict[str, int]


class ManagedFile(Model):
    """A file on the host that belongs to meshkeeper."""

    path: str
    text: str


class Configure(Change):
    """Packages, files, and what makes them live: one service's configuration."""

    kind: Literal["configure"] = "configure"
    packages: tuple[str, ...] = Field(description="Those that are missing.")
    files: tuple[ManagedFile, ...]
    activate: str = Field(description="Shell text that makes the files live; may be run again.")
    digest: str = Field(description="Of files and activation; noted on the host once it is live.")


class SetTimezone(Change):
    kind: Literal["timezone"] = "timezone"
    timezone: str


class SetAdmin(Change):
    """Make or repair the administrator: account, sudo without password, keys."""

    kind: Literal["admin"] = "admin"
    user: str
    # Not `keys`: what has such an attribute passes for a mapping (Prefect calls dict() on it).
    public_keys: tuple[str, ...] = Field(description="No others will be able to log in.")
    sudoers: str = Field(description="Text of the sudo drop-in.")


class SetBackupAccount(Change):
    """Make or repair the account that can only fetch snapshots; without keys: remove it."""

    kind: Literal["backup"] = "backup"
    authorized_keys: str = Field(default="", description="Text of the file, with its options.")
    program: str = Field(default="", description="Text of its login shell and forced command.")
    sudoers: str = Field(default="", description="Text of its sudo drop-in.")


class HardenSshd(Change):
    kind: Literal["sshd"] = "sshd"
    drop_in: str


class SetFirewall(Change):
    """UFW with these rules, and the same ports for what Docker publishes."""

    kind: Literal["firewall"] = "firewall"
    allow: tuple[str, ...] = Field(description="Rules as UFW's command line takes them.")
    remove: tuple[str, ...] = Field(description="UFW's tuples that go.")
    block: str = Field(description="For after.rules and after6.rules, with its markers.")


HostChange = Annotated[
    RemovePackages
    | SetTimezone
    | SetAdmin
    | SetBackupAccount
    | HardenSshd
    | SetFirewall
    | Configure
    | SetModes,
    Field(discriminator="kind"),
]


class AppliedChange(Model):
    item: str
    summary: str
    seconds: float


class ProvisionReport(Model):
    """What a provisioning changed; no changes: the host was in order already."""

    host: str
    changes: tuple[AppliedChange, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="What was left as it is, and why.")
    round_trips: int = Field(description="Commands for the last look at it, logins not counted.")
    seconds: float
    machine: Machine
