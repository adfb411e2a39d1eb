"""Every image meshkeeper knows, under the name that compose files use.

The layouts copy the official images where somebody may rely on it: paths of programs, entry point,
command, working directory, environment. Sources: ko's layout (headscale), caddy-docker's and
tailscale's Dockerfiles.
"""

from collections.abc import Mapping

from infra.images.spec import (
    DebianRoot,
    Dockerfile,
    GoModule,
    ImageSpec,
    ScratchImage,
)

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEBIAN = "debian:trixie-slim"
PYTHON = "python:3.13-slim-trixie"
CADDY = "caddy:2.11.4"
TAILSCALE = "tailscale/tailscale:v1.102.3"
LAB_HOST = "meshkeeper-lab/host:1"
LAB_VM = "meshkeeper-lab/vm:1"
DEBIAN_12 = "debian:bookworm-slim"
LAB_HOST_12 = "meshkeeper-lab/host-12:1"
LAB_NODE = "meshkeeper-lab/node:1"
LAB_ACME = "meshkeeper-lab/pebble:2.8.0"
LAB_RELAY = "meshkeeper-lab/derper:v1.102.3"

RESTIC = GoModule("restic-0.19.1", ("github.com/restic/restic/cmd/restic",))
#: Stands between the control machine and a host in tests of faults: a program, not an image.
TOXIPROXY = GoModule("toxiproxy-2.12.0", ("github.com/Shopify/toxiproxy/v2/cmd/server",))
TAILSCALE_MODULE = GoModule(
    "tailscale-1.102.3",
    tuple(f"tailscale.com/cmd/{program}" for program in ("derper", "tailscale", "tailscaled")),
    stamps=tuple(f"tailscale.com/version.{kind}Stamp=1.102.3" for kind in ("short", "long")),
)


def _headscale(version: str) -> ImageSpec:
    """As ko lays it out; the program is on PATH and the entry point."""
    module = GoModule(f"headscale-{version}", ("github.com/juanfont/headscale/cmd/headscale",))
    return ImageSpec(
        f"headscale/headscale:{version}",
        ScratchImage(
            module,
            files={"ko-app/headscale": "headscale"},
            directories=("etc/headscale", "var/lib/headscale", "var/run/headscale"),
            config={
                "Entrypoint": ["/ko-app/headscale"],
                "Env": [f"{PATH}:/ko-app"],
                "ExposedPorts": {"8080/tcp": {}},
            },
        ),
    )


def _caddy() -> ImageSpec:
    module = GoModule(
        "caddy-2.11.4",
        ("github.com/caddyserver/caddy/v2/cmd/caddy",),
        stamps=("github.com/caddyserver/caddy/v2.CustomVersion=v2.11.4",),
    )
    command = ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
    return ImageSpec(
        CADDY,
        ScratchImage(
            module,
            files={"usr/bin/caddy": "caddy"},
            directories=("config/caddy", "data/caddy", "etc/caddy", "srv"),
            config={
                "Cmd": command,
                "Env": [PATH, "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/data"],
                "ExposedPorts": {port: {} for port in ("80/tcp", "443/tcp", "443/udp", "2019/tcp")},
                "WorkingDir": "/srv",
            },
        ),
    )


def _tailscale() -> ImageSpec:
    """The two programs; the official image's start script (containerboot) is not among them."""
    programs = ("tailscale", "tailscaled")
    return ImageSpec(
        TAILSCALE,
        ScratchImage(
            TAILSCALE_MODULE,
            files={f"usr/local/bin/{program}": program for program in programs},
            directories=("var/lib/tailscale", "var/run/tailscale"),
            config={"Cmd": ["tailscaled"], "Env": [PATH]},
        ),
    )


def _lab_program(name: str, module: GoModule, program: str) -> ImageSpec:
    config = {"Entrypoint": [f"/usr/bin/{program}"], "Env": [PATH]}
    recipe = ScratchImage(module, files={f"usr/bin/{program}": program}, config=config)
    return ImageSpec(name, recipe, official=False)


def _lab_host(name: str, base: str, ready: str) -> ImageSpec:
    arguments = {"BASE": base, "READY": ready}
    return ImageSpec(name, Dockerfile("lab-host", (base,), arguments), official=False)


_PEBBLE = GoModule("pebble-2.8.0", ("github.com/letsencrypt/pebble/v2/cmd/pebble",))

#: In the order in which a lab needs them.
_SPECS = (
    ImageSpec(DEBIAN, DebianRoot("trixie", {"Cmd": ["bash"], "Env": [PATH]})),
    ImageSpec(PYTHON, Dockerfile("python", needs=(DEBIAN,))),
    _lab_host(LAB_HOST, DEBIAN, ready="docker.io docker-cli docker-compose"),
    ImageSpec(LAB_VM, Dockerfile("lab-vm", needs=(LAB_HOST,)), official=False),
    _tailscale(),
    ImageSpec(LAB_NODE, Dockerfile("lab-node", needs=(DEBIAN, TAILSCALE)), official=False),
    _headscale("0.29.2"),
    _caddy(),
    _lab_program(LAB_ACME, _PEBBLE, "pebble"),
    _lab_program(LAB_RELAY, TAILSCALE_MODULE, "derper"),
    _headscale("0.28.0"),
    _headscale("0.27.1"),
    ImageSpec(DEBIAN_12, DebianRoot("bookworm", {"Cmd": ["bash"], "Env": [PATH]})),
    _lab_host(LAB_HOST_12, DEBIAN_12, ready="docker.io cloud-init"),
)

CATALOG: Mapping[str, ImageSpec] = {spec.name: spec for spec in _SPECS}
#: What the test suite needs. A virtual machine's content serves `make test-vm` alone.
SUITE_IMAGES = tuple(name for name in CATALOG if name != LAB_VM)
#: Older headscales serve upgrades and the drill's sabotages, the older Debian hosts that somebody has
#: already.
_TESTS_ONLY = (
    *(f"headscale/headscale:{older}" for older in ("0.28.0", "0.27.1")),
    DEBIAN_12,
    LAB_HOST_12,
)
#: What a lab runs.
LAB_IMAGES = tuple(name for name in SUITE_IMAGES if name not in _TESTS_ONLY)
