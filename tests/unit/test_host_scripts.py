"""The shell text of each change: a shell can read it, and it holds to its promises."""

import subprocess
from importlib.resources import files

import pytest

from infra.host.scripts import script_of
from infra.model.host_change import (
    Configure,
    HardenSshd,
    HostChange,
    ManagedFile,
    RemovePackages,
    SetAdmin,
    SetBackupAccount,
    SetFirewall,
    SetModes,
    SetTimezone,
)
from infra.planning.host_backup import BACKUP_HOME, BACKUP_KEYS

SAID = {"item": "host.x", "summary": "…"}
CHANGES: list[HostChange] = [
    SetTimezone(**SAID, timezone="Europe/Berlin"),
    SetAdmin(**SAID, user="linuxuser", public_keys=("ssh-ed25519 AAAA it's me",), sudoers="x\n"),
    HardenSshd(**SAID, drop_in="PermitRootLogin no\n"),
    SetFirewall(**SAID, allow=("22/tcp",), remove=("allow tcp 23",), block="# BEGIN meshkeeper\n"),
    Configure(
        **SAID,
        packages=("docker.io",),
        files=(ManagedFile(path="/etc/docker/daemon.json", text="{}\n"),),
        activate="systemctl restart docker.service\n",
        digest="a1",
    ),
    RemovePackages(**SAID, packages=("rpcbind",)),
    SetModes(**SAID, modes={"/etc/shadow": 0o640}),
    SetBackupAccount(**SAID),
    SetBackupAccount(**SAID, authorized_keys="it's me\n", program="#!x\n", sudoers="x\n"),
]


def parsed(script: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-n"], input=script, capture_output=True, check=False)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.kind)
def test_a_shell_can_read_the_script_of(change: HostChange) -> None:
    assert parsed(script_of(change).encode()).stderr == b""


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.kind)
def test_a_script_stops_at_its_first_failure(change: HostChange) -> None:
    assert script_of(change).startswith("set -eu\n")


def test_nobody_comes_in_before_what_binds_the_backups_keys_is_there() -> None:
    made = script_of(CHANGES[-1])
    assert made.strip().endswith(f"mv {BACKUP_KEYS}.new {BACKUP_KEYS}")
    removed = script_of(CHANGES[-2])
    assert removed.index(f"rm -rf {BACKUP_HOME}") < removed.index("userdel")


def test_a_shell_can_read_the_guard() -> None:
    assert parsed(files("infra.host").joinpath("guard.sh").read_bytes()).stderr == b""


def test_a_key_with_a_quote_in_its_comment_reaches_the_file_as_it_is() -> None:
    line = next(x for x in script_of(CHANGES[1]).splitlines() if "AAAA" in x)
    printf = script_of(CHANGES[1])[script_of(CHANGES[1]).index(line) :].partition(" >")[0]
    done = subprocess.run(["sh", "-c", printf], capture_output=True, check=True)
    assert done.stdout == b"ssh-ed25519 AAAA it's me\n"


def test_the_firewall_is_never_off_while_it_changes() -> None:
    script = script_of(CHANGES[3])
    assert "reset" not in script
    assert "disable" not in script


def test_sshd_is_asked_before_it_reloads() -> None:
    lines = script_of(CHANGES[2]).splitlines()
    assert lines.index("sshd -t") < lines.index("systemctl reload ssh")
