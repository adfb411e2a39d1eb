"""Who may log in on a host, and how: its administrator, and sshd. Pure."""

from collections.abc import Iterable
from fnmatch import fnmatch

from infra.model.host import HostState
from infra.model.host_change import HardenSshd, SetAdmin
from infra.model.site import Host

SUDOERS = "/etc/sudoers.d/meshkeeper"
#: The first value wins in sshd, and `50-cloud-init.conf` may allow passwords.
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/00-meshkeeper.conf"
FILES = (SUDOERS, SSHD_DROP_IN)

_NOTE = "# Written by meshkeeper: what is changed here by hand is put back.\n"
#: As sshd_config spells them. Not MaxAuthTries: an agent with many keys offers them all.
#: Forwarding stays possible to the host itself: what listens only inside is reached by it.
_SSHD = {
    "PermitRootLogin": "no",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PubkeyAuthentication": "yes",
    "AuthorizedKeysFile": ".ssh/authorized_keys",
    "AuthorizedKeysCommand": "none",
    "TrustedUserCAKeys": "none",
    "HostbasedAuthentication": "no",
    "PermitEmptyPasswords": "no",
    "PermitUserEnvironment": "no",
    "StrictModes": "yes",
    "AllowAgentForwarding": "no",
    "AllowTcpForwarding": "local",
    "GatewayPorts": "no",
    "PermitTunnel": "no",
    "X11Forwarding": "no",
    "LoginGraceTime": "30",
    "ClientAliveInterval": "60",
    "LogLevel": "VERBOSE",
}
#: Taken out of what sshd offers by default, as ssh-audit's guides do; patterns, since each version
#: of OpenSSH has other names. Key exchange by curve25519 stays for clients of before 2022, though no
#: answer to quantum computers. What stays of MACs: encrypt-then-MAC, tags of 128 bits and more.
_WEAK = {
    "HostKeyAlgorithms": ("*ecdsa-sha2-nistp*",),
    "KexAlgorithms": ("ecdh-sha2-nistp*", "diffie-hellman-*"),
    "MACs": ("umac-64*", "umac-128@openssh.com", "hmac-sha1*", "hmac-sha2-256", "hmac-sha2-512"),
}
#: As `sshd -T` prints them.
SSHD_SETTINGS = {key.lower(): value.lower() for key, value in _SSHD.items()} | {
    "loglevel": "VERBOSE",
    "authorizedkeysfile": ".ssh/authorized_keys",
}
SSHD_ASKED = ("port", *SSHD_SETTINGS, *(key.lower() for key in _WEAK))


def plan_admin(host: Host, state: HostState) -> Iterable[SetAdmin]:
    sudoers = sudoers_text(host.admin)
    reasons = _admin_reasons(host, state)
    if state.files.get(SUDOERS) != sudoers:
        reasons.append("sudo without password")
    if reasons:
        yield SetAdmin(
            item="host.admin",
            summary=f"administrator {host.admin}: {', '.join(reasons)}",
            detail=_foreign_keys(host, state),
            user=host.admin,
            public_keys=host.admin_keys,
            sudoers=sudoers,
        )


def plan_sshd(state: HostState) -> Iterable[HardenSshd]:
    wrong = [
        f"{key} is {' and '.join(state.sshd.get(key, ('unset',)))} now"
        for key, value in SSHD_SETTINGS.items()
        if state.sshd.get(key) != (value,)
    ]
    wrong += [f"{key.lower()} offers {name} now" for key, name in _weak(state)]
    drop_in = sshd_text()
    if wrong or state.files.get(SSHD_DROP_IN) != drop_in:
        yield HardenSshd(
            item="host.sshd",
            summary="log in by key only, and not as root",
            detail="\n".join(wrong),
            drop_in=drop_in,
        )


def account_notes(state: HostState) -> Iterable[str]:
    """They may be wanted: who they are, only their owner knows."""
    for who, powers in state.other_accounts.items():
        yield f"{who} logs in or becomes root besides the admin, by {' and '.join(powers)}"


def match_notes(state: HostState) -> Iterable[str]:
    """What such a block allows is asked for root and the admin only, and from one address."""
    for block in state.match_blocks:
        yield f"sshd's block '{block}' is not meshkeeper's: it may let in others, or by passwords"


def sudoers_text(admin: str) -> str:
    return f"{_NOTE}{admin} ALL=(ALL:ALL) NOPASSWD: ALL\n"


def sshd_text() -> str:
    settings = "".join(f"{key} {value}\n" for key, value in _SSHD.items())
    weak = "".join(f"{key} -{','.join(patterns)}\n" for key, patterns in _WEAK.items())
    return _NOTE + settings + weak


def _weak(state: HostState) -> Iterable[tuple[str, str]]:
    for key, patterns in _WEAK.items():
        for names in state.sshd.get(key.lower(), ()):
            for name in names.split(","):
                if any(fnmatch(name, pattern) for pattern in patterns):
                    yield key, name


def _admin_reasons(host: Host, state: HostState) -> list[str]:
    if state.admin is None:
        return ["new account"]
    reasons = []
    if state.admin.shell != "/bin/bash" or "sudo" not in state.admin.groups:
        reasons.append("shell and group")
    if set(state.admin.authorized_keys) != set(host.admin_keys):
        reasons.append("the declared keys, and no others")
    return reasons


def _foreign_keys(host: Host, state: HostState) -> str:
    present = state.admin.authorized_keys if state.admin else ()
    foreign = [key for key in present if key not in host.admin_keys]
    return "\n".join(f"removes the key {key}" for key in foreign)
