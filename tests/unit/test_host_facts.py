"""What the program on the host makes of the kernel's tables and of other programs' words."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.host.facts import accounts, docker, health
from infra.host.facts import listeners as host_listeners
from infra.host.facts.accounts import sudoers_of
from infra.host.facts.listeners import decoded, listeners, named, of_the_host

ANYWHERE, HERE = "0.0.0.0", "127.0.0.1"  # noqa: S104 - to be seen, not to be used


@pytest.fixture
def bound() -> Iterator[dict[str, int]]:
    """Ports by protocol and address, of sockets that wait."""
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    opened = {f"{n} {where}": (k, where) for n, k in kinds.items() for where in (ANYWHERE, HERE)}
    sockets = {name: socket.socket(socket.AF_INET, kind) for name, (kind, _) in opened.items()}
    for name, (kind, where) in opened.items():
        sockets[name].bind((where, 0))
        if kind == socket.SOCK_STREAM:
            sockets[name].listen()
    yield {name: one.getsockname()[1] for name, one in sockets.items()}
    for one in sockets.values():
        one.close()


def test_who_listens_for_others_is_seen_with_its_program(bound: dict[str, int]) -> None:
    found = {(one["protocol"], one["port"]): one for one in listeners()["listeners"]}
    for protocol in ("tcp", "udp"):
        assert found[protocol, bound[f"{protocol} {ANYWHERE}"]] == {
            "port": bound[f"{protocol} {ANYWHERE}"],
            "protocol": protocol,
            "address": ANYWHERE,
            "process": Path("/proc/self/comm").read_text().strip(),
        }
        assert (protocol, bound[f"{protocol} {HERE}"]) not in found


def test_a_socket_that_talks_to_one_other_is_no_listener() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        asking.connect(("192.0.2.1", 53))
        assert ("udp", asking.getsockname()[1]) not in {
            (one["protocol"], one["port"]) for one in listeners()["listeners"]
        }


def test_a_table_that_is_too_long_is_told_and_breaks_nothing(
    bound: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody on the host can make it long."""
    assert bound
    assert not listeners()["more_listeners"]
    for most in range(140, 160):
        monkeypatch.setattr(host_listeners, "MOST_TABLE", most)
        assert listeners()["more_listeners"]


def test_a_program_of_a_person_is_told_with_its_owner() -> None:
    """They may give it any name."""
    assert named("chronyd", 100) == "chronyd"
    assert named("chronyd", 1000) == "chronyd of user 1000"
    assert named("", 1000) == "a program of user 1000"


@pytest.mark.parametrize(
    ("written", "address", "only_here"),
    [
        ("0100007F", "127.0.0.1", True),
        ("00000000", ANYWHERE, False),
        ("0A0200C0", "192.0.2.10", False),
        ("00000000000000000000000001000000", "::1", True),
        ("0000000000000000FFFF00000100007F", "::ffff:127.0.0.1", True),
        ("B80D0120000000000000000001000000", "2001:db8::1", False),
    ],
)
def test_an_address_is_read_as_the_kernel_writes_it(
    written: str, address: str, only_here: bool
) -> None:
    assert decoded(written) == address
    assert of_the_host(address) == only_here


def test_a_first_group_makes_root_as_well_as_one_that_was_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sudo = SimpleNamespace(gr_name="sudo", gr_gid=27, gr_mem=[])
    docker = SimpleNamespace(gr_name="docker", gr_gid=101, gr_mem=["deploy"])
    monkeypatch.setattr(accounts, "grp", SimpleNamespace(getgrall=lambda: [sudo, docker]))
    user = SimpleNamespace(pw_name="deploy", pw_uid=1001, pw_gid=27, pw_dir="/nowhere")
    assert accounts.powers(user) == ["the group docker", "the group sudo"]  # type: ignore[arg-type]


def test_whom_sudos_rules_are_for_is_read_from_their_first_words() -> None:
    text = """
        # deploy ALL=(ALL) ALL
        Defaults env_reset
        User_Alias ADMINS = carol
        @includedir /etc/sudoers.d
        linuxuser ALL=(ALL) NOPASSWD:/usr/bin/true, \\
            /usr/bin/id
        linuxuser ALL=(ALL) NOPASSWD:ALL
        %wheel ALL=(ALL:ALL) ALL
        ADMINS ALL=(ALL) ALL
    """
    assert sudoers_of(text) == ["linuxuser", "%wheel", "ADMINS"]


SIMULATED = """\
Reading package lists...
3 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.
Inst libzstd1 [1.5.7] (1.5.7+deb13u1 Debian-Security:13/stable-security [amd64])
Inst tzdata [2026a] (2026b Debian:13.2/stable [all])
Conf libzstd1 (1.5.7+deb13u1 Debian-Security:13/stable-security [amd64])
"""


@pytest.mark.parametrize(
    ("lists", "said", "updates"),
    [
        (["deb.example_debian-security_InRelease"], SIMULATED, ["libzstd1"]),
        (["deb.example_debian-security_InRelease"], "E: Unable to lock\n", None),
        (["deb.example_debian_InRelease"], SIMULATED, None),
        ([], "", None),
    ],
)
def test_updates_are_unknown_unless_apt_knows_a_security_suite(
    monkeypatch: pytest.MonkeyPatch, lists: list[str], said: str, updates: list[str] | None
) -> None:
    monkeypatch.setattr(health, "listed", lambda _: lists)
    assert health.security_updates(said) == updates


def test_units_and_bans_are_unknown_where_nobody_answers() -> None:
    listing = "UNIT LOAD ACTIVE SUB DESCRIPTION\nx.service loaded failed failed The x\n\n"
    assert health.failed_units(f"{listing}1 loaded units listed.\n") == ["x.service"]
    assert health.failed_units("0 loaded units listed.\n") == []
    assert health.failed_units("Failed to connect to bus\n") is None
    assert health.banned("|- Currently banned:\t3\n|- Total banned:\t5\n") == 3
    assert health.banned("Failed to access socket path\n") is None


def test_the_projects_with_our_mark_are_told_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of = "com.docker.compose.project"
    listed = [{"Labels": {of: "status"}}, {"Labels": {of: "caddy"}}, {"Labels": {of: "status"}}]
    monkeypatch.setattr(docker, "docker", lambda path: [*listed, {"Labels": {}}])
    assert docker.marked_projects() == ["caddy", "status"]


def test_a_host_without_an_engine_has_no_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "docker", lambda path: None)
    assert docker.marked_projects() == []
