"""The lab's DNS: the site's names, the names of the lab's own services, and all others as usual."""

from deployments.lab.part import File, Leg, Part
from deployments.lab.plan import LabPlan

IMAGE = "meshkeeper-lab/node:1"
#: The zone of what stands for other people's servers.
OUTSIDE = "lab.test"
#: Names that the site's owner pointed at the VPS; the empty one is the domain itself.
SITE_NAMES = ("", "hs.", "status.", "notify.")
SERVICES = ("acme", "derp", "derpmap")


def dns_part(plan: LabPlan) -> Part:
    return Part(
        name=plan.name("dns"),
        image=IMAGE,
        command=("dnsmasq", "--keep-in-foreground", "--conf-file=/etc/lab-dns.conf"),
        legs=(Leg(network=plan.name("internet"), address=plan.place("dns")),),
        files=(File(path="/etc/lab-dns.conf", content=_configuration(plan).encode()),),
        options={"init": True, "cap_add": ["NET_ADMIN"]},
    )


def _configuration(plan: LabPlan) -> str:
    """dnsmasq's file. Its own resolv.conf leads to the engine's resolver: Debian's names."""
    records = {f"{name}{plan.domain}": plan.place("vps") for name in SITE_NAMES}
    records |= {f"{service}.{OUTSIDE}": plan.place(service) for service in SERVICES}
    lines = [
        "user=root",
        "log-facility=-",
        "no-hosts",
        f"local=/{plan.domain}/",
        f"local=/{OUTSIDE}/",
        *(f"host-record={name},{address}" for name, address in records.items()),
    ]
    return "\n".join(lines) + "\n"
