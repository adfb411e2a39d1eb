"""Debian 12, delivered with a user whose sudo asks for a password, with sshd on another port, and
with cloud-init at work."""

import time
from collections.abc import Iterator

import pytest

from deployments.lab.boot import Lab
from deployments.lab.machine import Machine
from infra.access.host_keys import pin_host_key
from infra.access.login import first_login
from infra.access.probe import open_ports
from infra.access.ssh import connect
from infra.errors import BadInput, StepFailed
from infra.host import provision
from infra.host.provision import Target, look, look_when_settled, require_in_order, way_in
from infra.images.catalog import CADDY, LAB_HOST_12
from infra.model.site import SecretRef
from tests.integration.hosts import change_all, ordered, with_host

#: A shell that got it as input would say that it is not found.
PASSWORD = 'correct-horse\'s "battery" $staple'
DELIVERED = """\
set -eu
useradd --create-home --shell /bin/bash --groups sudo linuxuser
printf '%s:%s' linuxuser "$1" | chpasswd
install -d -m 700 -o linuxuser -g linuxuser /home/linuxuser/.ssh
install -m 600 -o linuxuser -g linuxuser /root/.ssh/authorized_keys /home/linuxuser/.ssh/
rm /root/.ssh/authorized_keys
echo Port 2222 >/etc/ssh/sshd_config.d/10-port.conf
systemctl restart ssh
"""
#: As a provider's image runs it at its first boot, here with something that takes its time.
CLOUD_INIT = """\
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -qq -y --no-install-recommends cloud-init >/dev/null
mkdir -p /var/lib/cloud/seed/nocloud
echo 'instance-id: mk-test' >/var/lib/cloud/seed/nocloud/meta-data
cat >/var/lib/cloud/seed/nocloud/user-data <<'END'
#cloud-config
users: []
disable_root: false
ssh_deletekeys: false
preserve_hostname: true
manage_etc_hosts: false
apt: {preserve_sources_list: true}
network: {config: disabled}
locale: false
runcmd: [sleep 12]
END
echo 'datasource_list: [NoCloud]' >/etc/cloud/cloud.cfg.d/99-mk-test.cfg
systemd-run --unit=first-boot sh -c 'cloud-init init --local; cloud-init init; \
    cloud-init modules --mode=config; cloud-init modules --mode=final'
"""
COMPOSE = f"""\
services:
  hello:
    image: {CADDY}
    command: caddy respond --listen :8080 hello
"""


@pytest.fixture(scope="module")
def older(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Target]]:
    """The machine as it is delivered; the site file does not know the password yet."""
    folder = tmp_path_factory.mktemp("older")
    wanted = {"image": LAB_HOST_12, "first_user": "linuxuser", "admin": "keeper"}
    with ordered(lab, folder, "older", **wanted) as delivered:
        delivered.machine.check("sh", "-c", DELIVERED, "deliver", PASSWORD)
        target = with_host(delivered.target, port=2222)
        pin_host_key(target.admin, target.site.hosts["vps"].host_key)
        yield delivered.machine, target


def with_password(target: Target, password: str) -> Target:
    """The same with a secrets file that holds it."""
    target.settings.state.mkdir(parents=True, exist_ok=True)
    secrets = target.settings.state / "secrets.yaml"
    secrets.touch(mode=0o600)
    quoted = password.replace("'", "''")
    secrets.write_text(f"sudo_password: '{quoted}'\n")
    return with_host(target, sudo_password=SecretRef(secret="sudo_password"))


def failed_tries(machine: Machine) -> int:
    said = machine.check("journalctl", "-o", "cat", "SYSLOG_IDENTIFIER=sudo")
    return said.count("authentication failure")


def test_a_sudo_that_wants_a_password_is_told_with_the_field_to_fill(older) -> None:
    _, target = older
    with pytest.raises(
        StepFailed, match=r"Name the password of linuxuser .* hosts\.vps\.sudo_pass"
    ):
        look(target)


def test_a_wrong_password_is_tried_once_and_named(older) -> None:
    machine, target = older
    wrong = with_password(target, "wrong-horse")
    with pytest.raises(StepFailed) as refused:
        look(wrong)
    assert "Is the secret that hosts.vps.sudo_password names" in refused.value.hint
    assert "wrong-horse" not in str(refused.value)
    assert failed_tries(machine) == 1


def test_the_password_reaches_no_command_where_sudo_asks_for_some_only(older) -> None:
    """Its first line would be the shell's first command, and so part of an error."""
    machine, target = older
    rule = b"linuxuser ALL=(root) NOPASSWD: /usr/bin/sh, /usr/bin/timeout\n"
    machine.write("/etc/sudoers.d/zz-some", rule, 0o440)
    with connect(first_login(*with_password(target, PASSWORD)[:3])) as session:
        for shell in ("sh -s", "timeout 9 sh -s"):
            said = session.run(session.as_root(shell), stdin=b"id -u\n")
            assert (said.status, said.stdout, said.stderr) == (0, b"0\n", b"")
    machine.check("rm", "/etc/sudoers.d/zz-some")


def test_a_first_boot_that_is_still_under_way_is_waited_for(
    older, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, target = older
    target = with_password(target, PASSWORD)
    machine.check("sh", "-c", CLOUD_INIT, timeout=300)
    until = time.monotonic() + 30
    while machine.run("test", "-e", "/run/cloud-init/status.json").status != 0:
        assert time.monotonic() < until
        time.sleep(0.2)
    first = look(target)
    assert not first.settled
    assert "cloud-init is still at work" in first.plan.notes[0]
    monkeypatch.setattr(provision, "LOOK_AGAIN_SECONDS", 2)
    assert look_when_settled(target).settled
    assert machine.run("test", "-e", "/run/cloud-init/result.json").status == 0


def test_it_is_provisioned_like_a_new_one(lab: Lab, older) -> None:
    machine, target = older
    target = with_password(target, PASSWORD)
    assert look(target).user == "linuxuser"
    items = change_all(target)
    assert items[-2:] == ("host.docker", "host.compose")
    assert require_in_order(target).round_trips == 1
    journal = machine.check("journalctl", "-o", "cat", "--no-pager")
    assert PASSWORD not in journal
    assert "correct-horse" not in journal
    assert failed_tries(machine) == 1


def test_the_user_that_the_provider_delivered_is_told(older) -> None:
    _, target = older
    told = (
        "linuxuser logs in or becomes root besides the admin, by keys of its own and the group sudo"
    )
    assert told in require_in_order(target).plan.notes


def test_only_its_port_of_ssh_answers(older) -> None:
    _, target = older
    assert open_ports(target.site.hosts["vps"].address, (22, 2222)) == {2222}


def test_the_password_is_not_needed_any_more(older) -> None:
    _, target = older
    (target.settings.state / "secrets.yaml").unlink()
    require_in_order(target)
    with pytest.raises(BadInput, match="'sudo_password' is neither in"):
        look(with_host(target, sudo_password=SecretRef(secret="sudo_password")))


def test_only_compose_comes_from_the_newer_release_and_it_works(lab: Lab, older) -> None:
    machine, target = older
    kept_back = machine.check("apt-get", "-s", "dist-upgrade")
    assert "trixie" not in kept_back
    with way_in(target) as session:
        archive = lab.engine.images.get(CADDY).save(named=CADDY)
        session.send("load", session.as_root("docker load"), archive)
    machine.write("/root/compose.yaml", COMPOSE.encode())
    machine.check("docker", "compose", "-f", "/root/compose.yaml", "up", "-d", timeout=120)
    running = machine.check("docker", "compose", "-f", "/root/compose.yaml", "ps", "--services")
    assert running == "hello\n"
    require_in_order(target)
