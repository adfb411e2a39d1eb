"""A host from root by key to hardened: proved by effects, from outside, and by a host that reverts."""

import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import paramiko
import pytest

from deployments.cli.plan import plan_target
from deployments.cli.trust import ask_about_host_keys
from deployments.lab.boot import Lab
from deployments.lab.keys import ensure_ssh_key
from deployments.lab.machine import Machine
from infra.access.host_keys import pin_host_key
from infra.access.login import first_login
from infra.access.ssh import connect
from infra.errors import (
    BadInput,
    CouldNotRun,
    GateFailed,
    HostKeyMismatch,
    LockOutPrevented,
    LoginRefused,
    StepFailed,
)
from infra.host.apply import apply_change
from infra.host.guard import guarded
from infra.host.observe import observe
from infra.host.provision import Target, after, look, require_in_order, way_in
from infra.host.scripts import script_of
from infra.images.ensure import ensure_images
from infra.model.fields import PublishedPort
from infra.model.host_change import Configure, SetAdmin, SetFirewall
from infra.model.site import Derp, Host, Site
from infra.model.stack import PutBack
from infra.planning.host_access import sudoers_text
from infra.planning.host_firewall import docker_block, ufw_rules
from infra.rollout import apply
from infra.rollout.local_gate import gate_locally
from infra.rollout.outlook import plans, query, wanted_stacks
from tests.integration.hosts import change_next, ordered, target_for, with_host, within

CADDY = "caddy:2.11.4"
SEVERAL_SECONDS = 8
#: Holds a lock as apt does.
HOLD = f"""\
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
time.sleep({SEVERAL_SECONDS})
"""
#: Ends with REFUSED when the answer is ICMP's "port unreachable".
REFUSED = 5
DATAGRAM = f"""\
import socket, sys
sender = socket.socket(type=socket.SOCK_DGRAM)
sender.settimeout(2)
sender.connect((sys.argv[1], int(sys.argv[2])))
try:
    sender.send(b"?")
    sender.recv(1)
except ConnectionRefusedError:
    sys.exit({REFUSED})
"""
#: Prints each TCP port that accepts a connection within a second; not sshd's, for which that is an attack.
SCAN = """
import select, socket, sys, time

def accepting(ports):
    sockets = {port: socket.socket() for port in ports}
    poll = select.poll()
    for port, one in sockets.items():
        one.setblocking(False)
        one.connect_ex((sys.argv[1], port))
    time.sleep(1)
    for one in sockets.values():
        poll.register(one, select.POLLOUT)
    ended = {file for file, event in poll.poll(0) if not event & (select.POLLERR | select.POLLHUP)}
    found = [port for port, one in sockets.items() if one.fileno() in ended]
    for one in sockets.values():
        one.close()
    return found

for first in range(1, 65536, 4096):
    for port in accepting(set(range(first, min(first + 4096, 65536))) - {22}):
        print(port)
"""
#: How often the undeclared port was asked until there was enough, and how often it answered.
PROBES = """
rm -f /tmp/enough; asked=0; got_in=0
until [ -e /tmp/enough ]; do
    asked=$((asked + 1))
    curl -sf --max-time 0.3 http://{}:8081/ >/dev/null && got_in=$((got_in + 1))
    sleep 0.05
done
echo $asked $got_in >/tmp/probes
"""
#: The addresses that fail2ban has banned from SSH.
BANNED = ("nft", "list", "set", "inet", "f2b-table", "addr-set-sshd")
SSH_AS_NOBODY = (
    "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
    "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5",
)  # fmt: skip


class Provisioned(NamedTuple):
    """A host of the tests, and what its provisioning planned each time it began anew."""

    machine: Machine
    target: Target
    plans: tuple[tuple[str, ...], ...]


@pytest.fixture(scope="module")
def provisioned(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provisioned]:
    """Provisioned by runs that each die after one item: every boundary between two is crossed."""
    folder = tmp_path_factory.mktemp("provisioned")
    backup_keys = (ensure_ssh_key(folder / "backup_ed25519"),)
    with ordered(lab, folder, "provisioned", backup_keys=backup_keys, timezone="Europe/Berlin") as (
        machine,
        target,
        _,
    ):
        plans = [change_next(target)]
        while plans[-1]:
            plans.append(change_next(target))
        yield Provisioned(machine, target, tuple(plans))


def test_a_run_that_dies_between_two_items_is_finished_by_the_next(provisioned) -> None:
    first = provisioned.plans[0]
    assert first == tuple(
        f"host.{item}"
        for item in (
            "packages", "timezone", "admin", "backup", "sshd", "firewall",
            "fail2ban", "upgrades", "journald", "sysctl", "docker",
        )
    )  # fmt: skip
    assert provisioned.plans == tuple(first[done:] for done in range(len(first) + 1))


def test_a_host_in_order_costs_one_round_trip_and_is_left_untouched(provisioned) -> None:
    written = ("find", "/etc", "/home", "/var/lib/meshkeeper", "-newer", "/tmp/mark", "-type", "f")
    provisioned.machine.check("touch", "/tmp/mark")
    outlook = require_in_order(provisioned.target)
    assert outlook.round_trips == 1
    assert outlook.user == "linuxuser"
    assert provisioned.machine.check(*written) == ""


def test_what_a_container_cannot_have_is_said_and_not_tried(provisioned) -> None:
    assert require_in_order(provisioned.target).plan.notes == tuple(
        f"host.{item} is left out: in a container (docker) {subject} can only be the machine's below"
        for item, subject in (
            ("swap", "swap"), ("time", "the clock"), ("kernel", "the kernel's settings"),
        )
    )  # fmt: skip
    assert "/swapfile" not in provisioned.machine.check("cat", "/proc/swaps")


def test_root_is_refused(provisioned) -> None:
    root = first_login(*provisioned.target[:3])
    with pytest.raises(LoginRefused), connect(root):
        pass


def test_passwords_are_refused_although_the_clouds_drop_in_allows_them(provisioned) -> None:
    cloud = provisioned.machine.check("cat", "/etc/ssh/sshd_config.d/50-cloud-init.conf")
    assert "PasswordAuthentication yes" in cloud
    admin = provisioned.target.admin
    transport = paramiko.Transport((admin.address, admin.port))
    try:
        transport.start_client(timeout=10)
        with pytest.raises(paramiko.BadAuthenticationType) as refused:
            transport.auth_none(admin.user)
    finally:
        transport.close()
    assert refused.value.allowed_types == ["publickey"]


def test_only_declared_ports_of_containers_can_be_reached(lab: Lab, provisioned) -> None:
    """From outside, and by a neighbour who has a route to the containers' own network."""
    vps, neighbour = provisioned.machine, vps_neighbour(lab)
    containers(lab, provisioned.target, declared=80, undeclared=8081)
    inside = vps.check(
        "docker", "inspect", "-f", "{{.NetworkSettings.IPAddress}}", "undeclared"
    ).strip()
    neighbour.check("ip", "route", "replace", f"{inside}/32", "via", vps.address)
    six = f"[{link_local(vps)}%25{way_out(neighbour, vps)}]"
    declared = (f"http://{vps.address}/", f"http://{six}/")
    undeclared = (
        f"http://{vps.address}:8081/",
        f"http://{inside}:8080/",
        f"http://{six}:8081/",
    )

    assert fetched(lab.observer, declared[0])
    assert reached_of(neighbour, *declared, *undeclared) == declared
    vps.check("systemctl", "restart", "docker")
    vps.check("ufw", "reload")
    assert reached_of(neighbour, *declared, *undeclared) == declared
    assert open_to(neighbour, vps.address) == {80}
    # The probes can tell: without our rules the same ones get through.
    opened = (("iptables", "DOCKER-USER", "RETURN"), ("ip6tables", "INPUT", "ACCEPT"))
    for tables, chain, verdict in opened:
        vps.check(tables, "-I", chain, "-j", verdict)
    assert reached_of(neighbour, *undeclared) == undeclared
    assert open_to(neighbour, vps.address) == {80, 8081}
    for tables, chain, verdict in opened:
        vps.check(tables, "-D", chain, "-j", verdict)
    assert require_in_order(provisioned.target).plan.empty


def test_an_undeclared_udp_port_answers_nobody(lab: Lab, provisioned) -> None:
    """Nobody listens there, so a packet that gets through comes back as `refused`."""
    vps, neighbour = provisioned.machine, vps_neighbour(lab)
    containers(lab, provisioned.target, datagrams="8083/udp")
    to_the_host, to_a_container = (vps.address, 8084), (vps.address, 8083)
    assert not got_through(neighbour, *to_the_host)
    assert not got_through(neighbour, *to_a_container)
    opened = (("INPUT", "ACCEPT"), ("DOCKER-USER", "RETURN"))
    for chain, verdict in opened:
        vps.check("iptables", "-I", chain, "-j", verdict)
    assert got_through(neighbour, *to_the_host)
    assert got_through(neighbour, *to_a_container)
    for chain, verdict in opened:
        vps.check("iptables", "-D", chain, "-j", verdict)


def test_a_port_opened_by_hand_is_shown_and_closed_where_the_site_file_says_so(
    lab: Lab, provisioned
) -> None:
    vps, neighbour, target = provisioned.machine, vps_neighbour(lab), provisioned.target
    vps.check("systemd-run", "--unit=stray", "python3", "-m", "http.server", "3306")
    vps.check("ufw", "allow", "3306/tcp")
    url = f"http://{vps.address}:3306/"
    plan = require_in_order(target).plan
    assert fetched(neighbour, url)
    rules = [note for note in plan.notes if note.startswith("UFW's rule")]
    assert ["allow tcp 3306 " in rule for rule in rules] == [True, True]
    assert any(note.startswith("python3 listens on 3306/tcp (0.0.0.0)") for note in plan.notes)
    strict = with_host(target, foreign_rules="remove")
    assert change_next(strict) == ("host.firewall",)
    assert not fetched(neighbour, url)
    assert not [n for n in require_in_order(target).plan.notes if n.startswith("UFW's rule")]


def test_ssh_from_declared_networks_only(lab: Lab, provisioned) -> None:
    """From outside the port is closed then, and open again afterwards; ours is never shut out."""
    vps, target = provisioned.machine, provisioned.target
    ours = look(target).peer
    narrow = with_host(target, ssh_from=(ip_network(ours),))
    assert "SSH-2.0" in lab.observer.run(*banner(vps)).stdout
    assert change_next(narrow) == ("host.firewall",)
    require_in_order(narrow)
    assert "SSH-2.0" not in lab.observer.run(*banner(vps)).stdout
    with pytest.raises(BadInput, match=f"comes from {ours}"):
        look(with_host(target, ssh_from=(ip_network("203.0.113.0/24"),)))
    assert change_next(target) == ("host.firewall",)
    assert "SSH-2.0" in lab.observer.run(*banner(vps)).stdout
    require_in_order(target)


def test_failing_logins_get_the_observer_banned_and_never_us(lab: Lab, provisioned) -> None:
    vps, target, observer = provisioned.machine, provisioned.target, lab.observer
    for attempt in range(3):
        observer.run(*SSH_AS_NOBODY, f"nobody{attempt}@{vps.address}")
    assert within(20, lambda: "elements" in vps.run(*BANNED).stdout)
    assert "SSH-2.0" not in observer.run(*banner(vps)).stdout
    for _ in range(3):
        with pytest.raises(LoginRefused), connect(first_login(*target[:3])):
            pass
    time.sleep(2)  # a ban comes within half a second
    assert str(look(target).peer) not in vps.check(*BANNED)
    vps.check("fail2ban-client", "unban", "--all")
    vps.check("systemctl", "restart", "ssh")  # its own penalties for us are forgotten with it


def test_a_reboot_that_an_upgrade_needs_waits_for_its_window(provisioned) -> None:
    vps = provisioned.machine
    vps.check("touch", "/run/reboot-required")
    try:
        vps.check("unattended-upgrade", "-v", timeout=300)
        assert "04:30" in vps.check("shutdown", "--show") + vps.run("shutdown", "--show").stderr
    finally:
        vps.run("shutdown", "-c")
        vps.check("rm", "-f", "/run/reboot-required")


def test_the_journal_is_capped_by_its_own_word(provisioned) -> None:
    said = provisioned.machine.check("journalctl", "-u", "systemd-journald", "-o", "cat")
    assert "max 200M" in said


def test_the_kernel_takes_redirects_of_routes_on_no_interface(provisioned) -> None:
    """Of IPv6 each interface has a value of its own, which `all` and `default` don't change."""
    for key in ("ipv4/conf/all", "ipv4/conf/eth0", "ipv6/conf/default", "ipv6/conf/eth0"):
        assert provisioned.machine.check("cat", f"/proc/sys/net/{key}/accept_redirects") == "0\n"
    provisioned.machine.check("sysctl", "-w", "net.ipv6.conf.eth0.accept_redirects=1")
    assert change_next(provisioned.target) == ("host.sysctl",)
    require_in_order(provisioned.target)


@pytest.mark.parametrize(
    ("kind", "weak", "complaint"),
    [
        ("kex", "ecdh-sha2-nistp256", "no acceptable kex"),
        ("key_types", "ecdsa-sha2-nistp256", "no acceptable host key"),
    ],
)
def test_only_strong_algorithms_are_offered(
    provisioned, kind: str, weak: str, complaint: str
) -> None:
    # A provider's machine has a host key of each type, the lab's only one.
    provisioned.machine.check("ssh-keygen", "-A")
    provisioned.machine.check("systemctl", "reload", "ssh")
    # It closes its port for a moment; asked on the host itself, since it penalises bare probes.
    listening = ("sh", "-c", "ss -Hlnt 'sport = :22' | grep -q .")
    assert within(10, lambda: provisioned.machine.run(*listening).status == 0)
    admin = provisioned.target.admin
    transport = paramiko.Transport((admin.address, admin.port))
    setattr(transport.get_security_options(), kind, (weak,))
    try:
        with pytest.raises(paramiko.SSHException, match=complaint):
            transport.start_client(timeout=10)
    finally:
        transport.close()


def test_a_needless_listener_and_an_open_file_are_mended(lab: Lab, provisioned) -> None:
    vps, target = provisioned.machine, provisioned.target
    vps.check("sh", "-c", "apt-get -qq update && apt-get -qq install -y rpcbind", timeout=300)
    vps.check("chmod", "644", "/etc/shadow")
    assert "/run/rpcbind.sock" in vps.check("cat", "/proc/net/unix")
    assert change_next(target) == ("host.needless", "host.modes")
    assert change_next(target) == ("host.modes",)
    assert "/run/rpcbind.sock" not in vps.check("cat", "/proc/net/unix")
    assert vps.check("stat", "-c", "%a", "/etc/shadow") == "640\n"
    require_in_order(target)


def test_locks_of_another_apt_are_waited_for(provisioned) -> None:
    """As a machine holds them that looks for updates of its own after its boot."""
    vps, target = provisioned.machine, provisioned.target
    held = ("/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend")
    for number, path in enumerate(held):
        vps.check("systemd-run", f"--unit=apt-{number}", "python3", "-c", HOLD, path)
    began = time.monotonic()
    with way_in(target) as session:
        sudo = Configure(
            item="x", summary="x", packages=("sudo",), files=(), activate="", digest=""
        )
        script = script_of(sudo).encode()
        session.check("install", session.as_root("sh -s"), stdin=script, timeout=120)
    assert time.monotonic() - began > SEVERAL_SECONDS - 3


def test_the_plan_knows_what_the_host_really_is(provisioned) -> None:
    machine = require_in_order(provisioned.target).machine
    assert (machine.virtualisation, machine.provider) == ("docker", "")
    assert machine.ram_bytes == 1024**3
    assert machine.cores == 1
    assert abs(machine.clock_offset) < 1


def test_a_match_block_that_lets_root_in_is_seen(provisioned) -> None:
    path = "/etc/ssh/sshd_config.d/99-match.conf"
    provisioned.machine.write(path, b"Match User root\n  PermitRootLogin yes\n")
    try:
        (change,) = look(provisioned.target).plan.changes
    finally:
        provisioned.machine.check("rm", path)
    assert (change.item, change.detail) == ("host.sshd", "permitrootlogin is yes and no now")


def test_a_match_block_for_somebody_else_is_told(provisioned) -> None:
    path = "/etc/ssh/sshd_config.d/99-match.conf"
    provisioned.machine.write(path, b"Match User deploy\n  PasswordAuthentication yes\n")
    try:
        plan = require_in_order(provisioned.target).plan
    finally:
        provisioned.machine.check("rm", path)
    assert any(f"'Match User deploy ({path})'" in note for note in plan.notes)


def test_a_key_in_another_file_lets_nobody_in(provisioned, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    keys = "/home/linuxuser/.ssh/authorized_keys2"
    provisioned.machine.write(keys, f"{ensure_ssh_key(foreign)}\n".encode(), 0o644)
    login = provisioned.target.admin.model_copy(update={"key_file": foreign})
    with pytest.raises(LoginRefused), connect(login):
        pass
    provisioned.machine.check("rm", keys)


def test_ipv6_opened_by_hand_is_closed_again(provisioned) -> None:
    provisioned.machine.check("ip6tables", "-P", "INPUT", "ACCEPT")
    assert change_next(provisioned.target) == ("host.firewall",)
    assert "-P INPUT DROP" in provisioned.machine.check("ip6tables", "-S", "INPUT")
    require_in_order(provisioned.target)


def test_a_first_rollout_that_turns_red_is_taken_down_with_its_files(provisioned) -> None:
    target = provisioned.target
    stacks = wanted_stacks(target.settings, that_cannot_serve(target.site), ("headscale",))
    stack, before = stacks["headscale"], provisioned.machine.check("docker", "ps", "-aq")
    with connect(target.admin) as session:
        seen = observe(session, query(target.site, "vps", stacks))
        ids = ensure_images(stack.images)
        plan = plans(stacks, ids, ids, seen)["headscale"]
        apply.send_images(session, plan)
        apply.write(session, stack, plan)
        apply.start(session, stack, plan)
        with pytest.raises(GateFailed) as red:
            gate_locally(session, stack)
        assert "getting DERPMap" in apply.why(session, "headscale", red.value)

        assert apply.put_back(session, stack) == PutBack()

        again = observe(session, query(target.site, "vps", stacks)).stacks["headscale"]
    assert (again.files, again.containers) == ({}, {})
    assert provisioned.machine.check("docker", "ps", "-aq") == before


def that_cannot_serve(site: Site) -> Site:
    """A page that is no relay map: such a configuration is valid, and headscale can't start with it."""
    derp = Derp(maps=("https://derpmap.lab.test/elsewhere",))
    headscale = site.stacks.headscale.model_copy(update={"derp": derp})
    return site.model_copy(
        update={"stacks": site.stacks.model_copy(update={"headscale": headscale})}
    )


def test_a_firewall_that_shuts_us_out_is_taken_back_by_the_host(provisioned) -> None:
    target = provisioned.target
    refused = pytest.raises(
        LockOutPrevented, match=r"(?s)host\.firewall.*takes it back within 20 s"
    )
    with (
        way_in(target) as session,
        refused,
        guarded(session, target.admin, "host.firewall", seconds=20),
    ):
        session.check("shut", session.as_root("sh -s"), stdin=shutting_us_out())
    wait_until_taken_back(target)


def test_keys_that_shut_us_out_are_taken_back_by_the_host(provisioned, tmp_path: Path) -> None:
    target = provisioned.target
    foreign = SetAdmin(
        item="host.admin",
        summary="…",
        user="linuxuser",
        public_keys=(ensure_ssh_key(tmp_path / "foreign"),),
        sudoers=sudoers_text("linuxuser"),
    )
    refused = pytest.raises(LockOutPrevented, match="does not accept our key")
    with way_in(target) as session, refused, guarded(session, target.admin, foreign.item, 10):
        session.check("keys", session.as_root("sh -s"), stdin=script_of(foreign).encode())
    with pytest.raises(LoginRefused), connect(target.admin):
        pass
    wait_until_taken_back(target)


@pytest.mark.parametrize(
    "change",
    [
        "sed -i '/ elsewhere$/d' /home/linuxuser/.ssh/authorized_keys",
        "echo PubkeyAcceptedAlgorithms ssh-ed25519 >/etc/ssh/sshd_config.d/00-a.conf"
        " && systemctl reload ssh",
    ],
    ids=["key", "type"],
)
def test_a_change_that_shuts_out_the_other_declared_key_is_taken_back_at_once(
    second_key: Target, change: str
) -> None:
    target = second_key
    refused = pytest.raises(
        LockOutPrevented, match=r"refuse the declared key elsewhere \(SHA256:.*was taken back"
    )
    with way_in(target) as session, refused, guarded(session, target.admin, "host.sshd"):
        session.check("shut", session.as_root("sh -s"), stdin=change.encode())
    require_in_order(target)


@pytest.fixture
def second_key(provisioned) -> Iterator[Target]:
    """One more key that is declared and let in, and whose private half nobody here has."""
    target = provisioned.target
    elsewhere = f"ssh-rsa {paramiko.RSAKey.generate(3072).get_base64()} elsewhere"
    both = with_host(target, admin_keys=(*target.admin.declared_keys, elsewhere))
    assert change_next(both) == ("host.admin",)
    yield both
    assert change_next(target) == ("host.admin",)


def test_a_change_that_fails_half_way_is_taken_back_at_once(provisioned) -> None:
    target = provisioned.target
    half_way = b"rm /etc/ssh/sshd_config.d/00-meshkeeper.conf; systemctl reload ssh; false"
    refused = pytest.raises(StepFailed, match="vps: half")
    with way_in(target) as session, refused, guarded(session, target.admin, "host.sshd"):
        session.check("half", session.as_root("sh -s"), stdin=half_way)
    wait_until_taken_back(target)


def test_a_second_guarded_change_waits_until_the_first_is_taken_back(provisioned) -> None:
    target = provisioned.target
    began = time.monotonic()
    with way_in(target) as session:
        arm_and_die(target, seconds=SEVERAL_SECONDS)
        with guarded(session, target.admin, "host.sshd"):
            waited = time.monotonic() - began
    assert waited > SEVERAL_SECONDS - 3
    require_in_order(target)


def test_a_confirmation_whose_answer_was_lost_may_be_given_again(provisioned) -> None:
    """But not of a change that was taken back."""
    target, program = provisioned.target, ("sh", "/run/meshkeeper-guard.sh")
    with way_in(target) as session, guarded(session, target.admin, "host.sshd"):
        pass
    provisioned.machine.check(*program, "confirm")
    provisioned.machine.check(*program, "arm", "60", target.admin.user)
    provisioned.machine.check(*program, "revert")
    with pytest.raises(StepFailed, match="already taken it back"):
        provisioned.machine.check(*program, "confirm")


def test_a_host_that_reboots_in_that_minute_takes_the_change_back(provisioned) -> None:
    """Also where somebody had disabled the unit that does it."""
    provisioned.machine.check("systemctl", "disable", "meshkeeper-revert-boot.service")
    target, container = provisioned.target, provisioned.machine.container
    arm_and_die(target, seconds=3600)
    provisioned.machine.check("rm", "/etc/ssh/sshd_config.d/00-meshkeeper.conf")
    planned, *_ = plan_target(target).plans
    assert [change.item for change in planned.changes] == ["host.sshd"]
    assert "another run is at work" in planned.notes[-1]
    container.kill()
    container.start()
    wait_until_taken_back(target)


def test_no_undeclared_port_leaks_while_the_host_reboots(lab: Lab, provisioned) -> None:
    """Docker starts its containers, and publishes them, when UFW has long been there."""
    vps, neighbour = provisioned.machine, vps_neighbour(lab)
    vps.check("docker", "rm", "--force", "declared", "undeclared")
    containers(lab, provisioned.target, declared=80, undeclared=8081)
    vps.check("docker", "update", "--restart", "always", "declared", "undeclared")
    probes = Thread(target=neighbour.run, args=("sh", "-c", PROBES.format(vps.address)))
    probes.start()
    vps.container.kill()
    vps.container.start()
    assert within(60, lambda: fetched(neighbour, f"http://{vps.address}/"))
    assert within(10, lambda: vps.run("docker", "port", "undeclared").stdout != "")
    time.sleep(2)
    neighbour.check("touch", "/tmp/enough")
    probes.join()
    asked, got_in = neighbour.check("cat", "/tmp/probes").split()
    assert int(asked) > 10
    assert got_in == "0"
    require_in_order(provisioned.target)


def test_a_wrong_fingerprint_stops_everything(lab: Lab, bare_host) -> None:
    delivered = bare_host("stranger")
    host = Host(
        address=delivered.address,
        host_key="SHA256:" + "A" * 43,
        admin_keys=(ensure_ssh_key(delivered.ssh_key),),
    )
    target = target_for(lab, host, delivered.ssh_key.parent)
    with pytest.raises(HostKeyMismatch, match=host.address):
        pin_host_key(target.admin, host.host_key)
    assert delivered.machine.run("id", "linuxuser").status != 0


def test_an_unknown_host_key_is_pinned_by_an_explicit_yes_only(
    lab: Lab, bare_host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered = bare_host("unknown")
    host = Host(address=delivered.address, admin_keys=(ensure_ssh_key(delivered.ssh_key),))
    target = target_for(lab, host, delivered.ssh_key.parent)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    with pytest.raises(BadInput, match="was not pinned, and nothing was touched"):
        ask_about_host_keys(*target[:3])
    assert delivered.host_key in capsys.readouterr().out
    with pytest.raises(BadInput, match="No host key is pinned"):
        look(target)
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    ask_about_host_keys(*target[:3])
    assert look(target).user == "root"
    monkeypatch.delattr("builtins.input")
    ask_about_host_keys(*target[:3])  # known from now on: nobody is asked


def test_root_stays_while_the_admin_cannot_log_in(lab: Lab, bare_host, tmp_path: Path) -> None:
    delivered = bare_host("keyless")
    host = Host(
        address=delivered.address,
        host_key=delivered.host_key,
        admin_keys=(ensure_ssh_key(tmp_path / "another_key"),),
    )
    target = target_for(lab, host, delivered.ssh_key.parent)
    pin_host_key(target.admin, host.host_key)
    with pytest.raises(BadInput, match=r"is none of hosts\.vps\.admin_keys"):
        look(target)

    # And where that can't be known before, since an agent holds the keys:
    both = with_host(target, admin_keys=(*host.admin_keys, ensure_ssh_key(delivered.ssh_key)))
    packages, admin, sshd, *_ = look(both).plan.changes
    assert (admin.item, sshd.item) == ("host.admin", "host.sshd")
    admin = admin.model_copy(update={"public_keys": host.admin_keys})
    target = target._replace(user="root")
    for change in (packages, admin):
        with way_in(target) as session:
            apply_change(session, change, target.admin)
    with way_in(target) as session, pytest.raises(LockOutPrevented, match="not begun"):
        apply_change(session, sshd, target.admin)
    with pytest.raises(LoginRefused), way_in(after(target, admin)):
        pass
    assert look(both).user == "root"


def vps_neighbour(lab: Lab) -> Machine:
    """A machine on the same link as the VPS, with a `curl` and routes of its own."""
    container = lab.engine.containers.get(lab.plan.name("router-observer"))
    return Machine(container, "")


def banner(machine: Machine) -> tuple[str, ...]:
    """A command that prints what sshd says first."""
    return ("curl", "-s", "--max-time", "3", f"telnet://{machine.address}:22")


def fetched(machine: Machine, url: str) -> bool:
    return machine.run("curl", "-sf", "--max-time", "2", url).status == 0


def reached_of(machine: Machine, *urls: str) -> tuple[str, ...]:
    return tuple(url for url in urls if fetched(machine, url))


def open_to(machine: Machine, address: str) -> set[int]:
    """Which of all TCP ports but sshd's answer it there."""
    return {int(port) for port in machine.check("python3", "-c", SCAN, address).split()}


def link_local(machine: Machine) -> str:
    """Its IPv6 address on its own link."""
    listed = machine.check("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link")
    return listed.split()[3].partition("/")[0]


def way_out(machine: Machine, to: Machine) -> str:
    """The interface from which `machine` reaches the other."""
    words = machine.check("ip", "-o", "route", "get", to.address).split()
    return words[words.index("dev") + 1]


def got_through(machine: Machine, address: str, port: int) -> bool:
    """Whether a datagram to a port on which nobody listens is refused, and not dropped."""
    return machine.run("python3", "-c", DATAGRAM, address, str(port)).status == REFUSED


def containers(lab: Lab, target: Target, **ports: int | str) -> None:
    """Containers that answer on port 8080, each published on all addresses."""
    with way_in(target) as session:
        archive = lab.engine.images.get(CADDY).save(named=CADDY)
        session.send("load", session.as_root("docker load"), archive)
        for name, port in ports.items():
            number, _, protocol = str(port).partition("/")
            published = f"{number}:8080/{protocol or 'tcp'}"
            publish = f"docker run -d --name {name} -p {published} {CADDY}"
            session.check("run", session.as_root(f"{publish} caddy respond --listen :8080 hello"))


def shutting_us_out() -> bytes:
    """The very script of a firewall in which sshd's port was forgotten."""
    change = SetFirewall(
        item="host.firewall",
        summary="…",
        allow=("80/tcp",),
        remove=tuple(ufw_rules(Host.model_construct(ssh_from=()), (PublishedPort(port=22),), ())),
        block=docker_block((PublishedPort(port=80),)),
    )
    return script_of(change).encode()


def arm_and_die(target: Target, seconds: int) -> None:
    """What a control machine leaves that loses power right after it has armed the revert."""
    lost_power = pytest.raises(KeyboardInterrupt)
    with (
        way_in(target) as session,
        lost_power,
        guarded(session, target.admin, "host.sshd", seconds=seconds),
    ):
        raise KeyboardInterrupt


def wait_until_taken_back(target: Target) -> None:
    """By real logins with pauses: sshd penalises bare probes."""
    for _ in range(15):
        try:
            if look(target).plan.empty:
                return
        except CouldNotRun:
            pass
        time.sleep(2)
    require_in_order(target)
