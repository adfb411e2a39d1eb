"""UFW, and the rules that Docker's publications would otherwise bypass it by. Pure."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_network

from infra.errors import BadInput
from infra.model.fields import PublishedPort
from infra.model.host import HostState
from infra.model.host_change import SetFirewall
from infra.model.site import Host

UFW_BLOCKS = ("/etc/ufw/after.rules", "/etc/ufw/after6.rules")
BEGIN, END = "# BEGIN meshkeeper", "# END meshkeeper"
#: UFW keeps a rule's comment beside it (in hex in its files): so ours are known among others.
COMMENT = "meshkeeper"
_MARK = f"comment={COMMENT.encode().hex()}"
_ANYWHERE = ("0.0.0.0/0", "::/0")


def plan_firewall(
    name: str, host: Host, ports: tuple[PublishedPort, ...], state: HostState
) -> Iterable[SetFirewall]:
    """Open sshd's own ports and `ports`, and nothing else.

    Raises BadInput for a firewall that would not let in the address from which we come.
    """
    sshd = _sshd_ports(state)
    _refuse_lock_out(name, host, state)
    wanted = ufw_rules(host, sshd, ports)
    block = docker_block(ports)
    reasons = _reasons(host, state, wanted, block)
    if reasons or not _docker_rules_live(ports, state):
        opened = tuple(dict.fromkeys((*sshd, *ports)))
        yield SetFirewall(
            item="host.firewall",
            summary=f"open only {', '.join(map(str, opened))}, for Docker's publications too",
            detail="\n".join(reasons),
            allow=tuple(dict.fromkeys(wanted.values())),
            remove=tuple(_unwanted(host, state, wanted)),
            block=block,
        )


def firewall_notes(host: Host, ports: tuple[PublishedPort, ...], state: HostState) -> Iterable[str]:
    """What somebody else has opened or closed, and is left as it is."""
    wanted = ufw_rules(host, _sshd_ports(state), ports)
    if host.foreign_rules == "keep":
        ours = {_but_for_the_action(rule) for rule in wanted}
        for rule in _foreign(state, wanted):
            # UFW has one rule for each port and source, whatever the rule does.
            gives_way = _but_for_the_action(f"{rule} {_MARK}") in ours
            fate = "gives way to ours" if gives_way else "stays (foreign_rules: keep)"
            yield f"UFW's rule '{rule}' is not meshkeeper's and {fate}"
    yield from (
        f"the kernel's rule '{rule}' was added beside UFW and stays until the next reboot"
        for rule in state.firewall.live_input
    )


def _sshd_ports(state: HostState) -> tuple[PublishedPort, ...]:
    """What sshd itself listens on: the site file's port may be one that is forwarded to it."""
    return tuple(PublishedPort(port=int(port)) for port in state.sshd.get("port", ("22",)))


def ufw_rules(
    host: Host, sshd: tuple[PublishedPort, ...], ports: tuple[PublishedPort, ...]
) -> dict[str, str]:
    """UFW's tuples as it notes them in user.rules and user6.rules → the command line's words."""
    rules: dict[str, str] = {}
    for port in sshd:
        for source in host.ssh_from:
            anywhere = _ANYWHERE[source.version == 6]
            # UFW notes a network of one as an address.
            noted = source.network_address if source.num_addresses == 1 else source
            rules[f"allow tcp {port.port} {anywhere} any {noted} in {_MARK}"] = (
                f"proto tcp from {source} to any port {port.port}"
            )
    for port in dict.fromkeys((*(() if host.ssh_from else sshd), *ports)):
        for anywhere in _ANYWHERE:
            rules[f"allow {port.protocol} {port.port} {anywhere} any {anywhere} in {_MARK}"] = str(
                port
            )
    return rules


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


def _reasons(host: Host, state: HostState, wanted: dict[str, str], block: str) -> list[str]:
    firewall = state.firewall
    reasons = [f"closes: {rule}" for rule in _unwanted(host, state, wanted)]
    reasons += [f"opens: {rule}" for rule in wanted if rule not in firewall.rules]
    if not firewall.enabled or {firewall.policy, *firewall.live_policies} != {"DROP"}:
        reasons.append("UFW is off")
    if any(block not in state.files.get(path, "") for path in UFW_BLOCKS):
        reasons.append("Docker's publications bypass UFW")
    return reasons


def _unwanted(host: Host, state: HostState, wanted: dict[str, str]) -> list[str]:
    """Ours of earlier times; those of others only where the site file says so."""
    ours = [rule for rule in state.firewall.rules if rule not in wanted and rule.endswith(_MARK)]
    foreign = _foreign(state, wanted) if host.foreign_rules == "remove" else []
    return ours + foreign


def _foreign(state: HostState, wanted: dict[str, str]) -> list[str]:
    """Not ours; UFW gives an equal rule without a comment ours, instead of a second one."""
    return [
        rule
        for rule in state.firewall.rules
        if not rule.endswith(_MARK) and f"{rule} {_MARK}" not in wanted
    ]


def _docker_rules_live(ports: tuple[PublishedPort, ...], state: HostState) -> bool:
    """Whether the kernel begins its chains with ours; Docker may add a RETURN, which says nothing."""
    rules, firewall = docker_rules(ports), state.firewall
    chains = (firewall.live_docker, firewall.live_docker6)
    return all(chain[: len(rules)] == rules for chain in chains if chain is not None)


def _refuse_lock_out(name: str, host: Host, state: HostState) -> None:
    peer = state.peer
    if peer is None:
        return
    if host.ssh_from and not any(peer in network for network in host.ssh_from):
        raise BadInput(
            f"{name}: this machine comes from {peer}, which hosts.{name}.ssh_from leaves out: it "
            "would shut itself out.",
            f"Add {peer} or its network to hosts.{name}.ssh_from.",
        )
    ports = [int(port) for port in state.sshd.get("port", ("22",))]
    for rule in _foreign(state, {}) if host.foreign_rules == "keep" else []:
        action, _, port, _, _, source, *_ = [*rule.split(), "", "", "", "", "", ""]
        shuts = action.partition("_")[0] in ("deny", "reject")
        if shuts and _names_one(port, ports) and _covers(source, peer):
            raise BadInput(
                f"{name}: UFW's rule '{rule}' shuts out {peer}, from which this machine comes.",
                f"Delete it on the host, or write foreign_rules: remove to hosts.{name}.",
            )


def _but_for_the_action(rule: str) -> str:
    return rule.partition(" ")[2]


def _names_one(listed: str, ports: Iterable[int]) -> bool:
    """Whether UFW's word for ports (`any`, `22`, `20:30`, `22,80:90`) names one of these."""
    if listed == "any":
        return True
    spans = re.findall("(?:^|,)([0-9]{1,5})(?::([0-9]{1,5}))?(?=,|$)", listed)
    return any(int(first) <= port <= int(last or first) for first, last in spans for port in ports)


def _covers(source: str, peer: IPv4Address | IPv6Address) -> bool:
    try:
        return peer in ip_network(source, strict=False)
    except ValueError:  # not an address: an application's rule
        return False
