"""A public relay (derper) and the server that hands out its map: they stand for Tailscale's."""

import json

from deployments.lab.authority import Authority
from deployments.lab.names import OUTSIDE
from deployments.lab.part import File, Leg, Part
from deployments.lab.plan import LabPlan

RELAY_IMAGE = "meshkeeper-lab/derper:v1.102.3"
MAP_IMAGE = "caddy:2.11.4"
RELAY, MAP = f"derp.{OUTSIDE}", f"derpmap.{OUTSIDE}"
REGION = 1


def map_url() -> str:
    return f"https://{MAP}/derpmap/default"


def relay_part(plan: LabPlan, authority: Authority) -> Part:
    certificate, key = authority.issue(RELAY, plan.place("derp"))
    return Part(
        name=plan.name("derp"),
        image=RELAY_IMAGE,
        command=("-hostname", RELAY, "-certmode", "manual", "-certdir", "/certs", "-stun"),
        legs=(Leg(network=plan.name("internet"), address=plan.place("derp")),),
        files=(
            File(path=f"/certs/{RELAY}.crt", content=certificate),
            File(path=f"/certs/{RELAY}.key", content=key, mode=0o600),
        ),
    )


def map_part(plan: LabPlan, authority: Authority) -> Part:
    certificate, key = authority.issue(MAP, plan.place("derpmap"))
    return Part(
        name=plan.name("derpmap"),
        image=MAP_IMAGE,
        command=("caddy", "run", "--config", "/etc/caddy/Caddyfile"),
        legs=(Leg(network=plan.name("internet"), address=plan.place("derpmap")),),
        files=(
            File(path="/etc/caddy/Caddyfile", content=_caddyfile().encode()),
            File(path="/srv/derpmap/default", content=_map(plan)),
            File(path="/certs/map.crt", content=certificate),
            File(path="/certs/map.key", content=key, mode=0o600),
        ),
    )


def _caddyfile() -> str:
    return f"""{{
	admin off
	auto_https off
}}
https://{MAP} {{
	tls /certs/map.crt /certs/map.key
	root * /srv
	file_server
}}
"""


def _map(plan: LabPlan) -> bytes:
    node = {"Name": "1a", "RegionID": REGION, "HostName": RELAY, "IPv4": plan.place("derp")}
    region = {
        "RegionID": REGION,
        "RegionCode": "pub",
        "RegionName": "Public relay of the lab",
        "Nodes": [node],
    }
    return json.dumps({"Regions": {str(REGION): region}}).encode()
