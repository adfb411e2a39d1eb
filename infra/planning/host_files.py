"""The files on a host that belong to meshkeeper, as text. Pure."""

import json

from infra.model.fields import PublishedPort
from infra.model.site import Docker

SUDOERS = "/etc/sudoers.d/meshkeeper"
#: The first value wins in sshd, and `50-cloud-init.conf` may allow passwords.
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/00-meshkeeper.conf"
DAEMON = "/etc/docker/daemon.json"
UFW_BLOCKS = ("/etc/ufw/after.rules", "/etc/ufw/after6.rules")
MANAGED_FILES = (SUDOERS, SSHD_DROP_IN, DAEMON, *UFW_BLOCKS)

#: As `sshd -T` prints them.
SSHD_SETTINGS = {
    "permitrootlogin": "no",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "pubkeyauthentication": "yes",
    "authorizedkeysfile": ".ssh/authorized_keys",
    "authorizedkeyscommand": "none",
}
_NOTE = "# Written by meshkeeper: what is changed here by hand is put back.\n"
BEGIN, END = "# BEGIN meshkeeper", "# END meshkeeper"


def sudoers_text(admin: str) -> str:
    return f"{_NOTE}{admin} ALL=(ALL:ALL) NOPASSWD: ALL\n"


def sshd_text() -> str:
    return _NOTE + (
        "PermitRootLogin no\n"
        "PasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\n"
        "PubkeyAuthentication yes\n"
        "AuthorizedKeysFile .ssh/authorized_keys\n"
        "AuthorizedKeysCommand none\n"
    )


def daemon_text(docker: Docker) -> str:
    """Logs of a bounded size, and containers that outlive a restart of the engine."""
    options = {"max-size": docker.log_max_size, "max-file": str(docker.log_max_file)}
    daemon = {"live-restore": True, "log-driver": "local", "log-opts": options}
    return json.dumps(daemon, indent=2) + "\n"


def docker_rules(ports: tuple[PublishedPort, ...]) -> tuple[str, ...]:
    """Rules of the chain DOCKER-USER, in the words in which `iptables -S` repeats them.

    Docker's publications bypass UFW. `--ctstate DNAT`: without it, a neighbour with a route to
    the containers' network would get in.
    """
    declared = (
        f"-p {p.protocol} -m conntrack --ctstate DNAT --ctorigdstport {p.port} -j RETURN"
        for p in ports
    )
    return (
        "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-i docker0 -j RETURN",
        "-i br-+ -j RETURN",
        *declared,
        "-j DROP",
    )


def docker_block(ports: tuple[PublishedPort, ...]) -> str:
    """The block for UFW's after.rules; the chain's own line empties it first: idempotent."""
    rules = [f"-A DOCKER-USER {rule}" for rule in docker_rules(ports)]
    lines = [BEGIN, "*filter", ":DOCKER-USER - [0:0]", *rules, "COMMIT", END]
    return "\n".join(lines) + "\n"


def ufw_tuples(ports: tuple[PublishedPort, ...]) -> tuple[str, ...]:
    """How UFW notes these ports in user.rules, then in user6.rules."""
    return tuple(
        f"allow {p.protocol} {p.port} {anywhere} any {anywhere} in"
        for anywhere in ("0.0.0.0/0", "::/0")
        for p in ports
    )
