"""What the values in a site file may be, each with an example for who wrote another."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

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
TimeOfDay = Annotated[
    str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$"), Field(examples=["04:30"])
]
Version = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$"), Field(examples=["0.29.2"])
]
Variable = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"), Field(examples=["title"])
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


#: On a host; whom the site's backup_keys let in, for fetching snapshots and nothing else.
BACKUP_USER = "meshkeeper-backup"


def not_root(user: str) -> str:
    if user == "root":
        raise ValueError("refused by sshd once the host is provisioned; write such as linuxuser")
    if user == BACKUP_USER:
        raise ValueError("the account of the backup's keys; write such as linuxuser")
    return user


def _absolute(path: PurePosixPath) -> PurePosixPath:
    if not path.is_absolute():
        raise ValueError("relative: from where is not known; write the whole path, from / on")
    return path


AbsolutePath = Annotated[PurePosixPath, AfterValidator(_absolute)]


def without_password(location: str) -> str:
    if re.search(r"//[^@]*:[^@]*@", location):
        raise ValueError(
            "no place for a password; write it without user and password, and both into"
            " backup.credentials (RESTIC_REST_USERNAME: {secret: rest_user}, …)"
        )
    return location


#: As restic's backends read it; any other variable would be for restic itself, or the machine.
BackendVariable = Annotated[
    str,
    StringConstraints(
        pattern=r"^(RESTIC_REST|AWS|B2|AZURE|GOOGLE|OS|ST|RCLONE)_[A-Z0-9_]{1,60}$",
    ),
    Field(examples=["RESTIC_REST_PASSWORD"]),
]


class PublishedPort(Model):
    """A port that is open to the internet."""

    port: Port
    protocol: Literal["tcp", "udp"] = "tcp"

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"
