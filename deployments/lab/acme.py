"""Pebble, the ACME server of the lab, and the root it issues from.

The root is new at each start of Pebble; it is fetched from the management port.
"""

import json
import ssl
import time

import httpx

from deployments.lab.authority import Authority
from deployments.lab.names import OUTSIDE
from deployments.lab.part import File, Leg, Part
from deployments.lab.plan import LabPlan
from infra.errors import CouldNotRun

IMAGE = "meshkeeper-lab/pebble:2.8.0"
DIRECTORY_PORT, MANAGEMENT_PORT = 14000, 15000
START_SECONDS = 20


def directory_url() -> str:
    return f"https://acme.{OUTSIDE}:{DIRECTORY_PORT}/dir"


def acme_part(plan: LabPlan, authority: Authority) -> Part:
    certificate, key = authority.issue(f"acme.{OUTSIDE}", plan.place("acme"))
    return Part(
        name=plan.name("acme"),
        image=IMAGE,
        command=("-config", "/etc/pebble/config.json", "-dnsserver", f"{plan.place('dns')}:53"),
        legs=(Leg(network=plan.name("internet"), address=plan.place("acme")),),
        files=(
            File(path="/etc/pebble/config.json", content=_configuration()),
            File(path="/etc/pebble/cert.pem", content=certificate),
            File(path="/etc/pebble/key.pem", content=key, mode=0o600),
        ),
        options={"environment": {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}},
    )


def issuing_root(plan: LabPlan, authority: Authority) -> str:
    """The PEM of the root that Pebble issues from since its start."""
    url = f"https://{plan.place('acme')}:{MANAGEMENT_PORT}/roots/0"
    trust = ssl.create_default_context(cafile=authority.root_file)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            answer = httpx.get(url, verify=trust, timeout=5, trust_env=False)
            return answer.raise_for_status().text
        except httpx.HTTPError as error:
            if time.monotonic() > deadline:
                raise CouldNotRun(
                    f"{plan.name('acme')} does not answer at {url}: {error}.",
                    f"`docker logs {plan.name('acme')}` shows why.",
                ) from error
            time.sleep(0.2)


def _configuration() -> bytes:
    pebble = {
        "listenAddress": f"0.0.0.0:{DIRECTORY_PORT}",
        "managementListenAddress": f"0.0.0.0:{MANAGEMENT_PORT}",
        "certificate": "/etc/pebble/cert.pem",
        "privateKey": "/etc/pebble/key.pem",
        "httpPort": 80,
        "tlsPort": 443,
    }
    return json.dumps({"pebble": pebble}).encode()
