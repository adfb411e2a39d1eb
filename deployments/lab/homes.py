"""Homes behind NAT routers, each with one machine: two clients, and an outside observer.

The engine drops packets from one of its bridges to another, so a router has a leg in each.
"""

from pathlib import Path

from deployments.lab.part import File, Leg, Part
from deployments.lab.plan import HOMES, NETWORKS, LabPlan

IMAGE = "meshkeeper-lab/node:1"
START = "/lab/start"
ROUTER, RESIDENT = 2, 10
READY = "/run/lab-ready"
TRUST = "/usr/local/share/ca-certificates/lab"
NAT = """set -e
outer=$(ip -o -4 addr show to {internet}/24 | awk '{{print $2}}')
ip route replace default via {gateway} dev "$outer"
iptables -t nat -F POSTROUTING
iptables -t nat -A POSTROUTING -o "$outer" -j MASQUERADE
exec sleep infinity
"""
#: As a home's DHCP does: resolver and gateway. tailscaled reads the system's roots once.
LIVE = """set -e
echo 'nameserver {resolver}' > /etc/resolv.conf
ip route replace default via {gateway}
update-ca-certificates > /dev/null
touch {ready}
exec {program}
"""
TAILSCALED = "tailscaled --state=/var/lib/tailscale/tailscaled.state"


def router_part(plan: LabPlan, resident: str) -> Part:
    """The router of a resident's home: NAT towards the lab's internet."""
    home = HOMES[resident]
    outer = plan.address("internet", 20 + NETWORKS[home])
    script = NAT.format(internet=plan.address("internet", 0), gateway=plan.address("internet", 1))
    return Part(
        name=plan.name(f"router-{resident}"),
        image=IMAGE,
        command=("sh", START),
        legs=(
            Leg(network=plan.name("internet"), address=outer),
            Leg(network=plan.name(home), address=plan.address(home, ROUTER)),
        ),
        files=(File(path=START, content=script.encode(), mode=0o755),),
        options={
            "init": True,
            "cap_add": ["NET_ADMIN"],
            # Docker turns IPv6 off where its networks have none: link-local, neighbours do.
            "sysctls": {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.disable_ipv6": "0"},
        },
    )


def resident_part(plan: LabPlan, resident: str) -> Part:
    """A client with tailscaled, or the observer, who runs nothing."""
    home = HOMES[resident]
    script = LIVE.format(
        resolver=plan.place("dns"),
        gateway=plan.address(home, ROUTER),
        ready=READY,
        program="sleep infinity" if resident == "observer" else TAILSCALED,
    )
    return Part(
        name=plan.name(resident),
        image=IMAGE,
        command=("sh", START),
        legs=(Leg(network=plan.name(home), address=plan.address(home, RESIDENT)),),
        files=(
            File(path=START, content=script.encode(), mode=0o755),
            *trusted(plan.roots),
        ),
        options={
            "init": True,
            "cap_add": ["NET_ADMIN", "NET_RAW"],
            "devices": ["/dev/net/tun"],
            "tmpfs": {"/run": ""},
        },
    )


def trusted(roots: Path) -> tuple[File, ...]:
    """One file per certificate of the bundle, as update-ca-certificates wants them."""
    end = "-----END CERTIFICATE-----\n"
    certificates = [part + end for part in roots.read_text().split(end) if part.strip()]
    return tuple(
        File(path=f"{TRUST}-{number}.crt", content=certificate.encode())
        for number, certificate in enumerate(certificates)
    )
