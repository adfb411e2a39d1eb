"""Docker on a host: its engine, and Compose 2, which Debian 12 has not. Pure."""

import json
from collections.abc import Iterable

from infra.model.host import HostState
from infra.model.host_change import Configure, ManagedFile
from infra.model.site import Docker
from infra.planning.host_services import NOTE, Service, plan_service

DAEMON = "/etc/docker/daemon.json"
COMPOSE_PIN = "/etc/apt/preferences.d/meshkeeper-compose"
COMPOSE_LIST = "/etc/apt/sources.list.d/meshkeeper-compose.list"
FILES = (DAEMON, COMPOSE_PIN)

#: By Debian's release. 13 splits the engine; its docker-compose is Compose 2, as the plugin
#: `docker compose` too.
RELEASES = {
    "12": ("apparmor", "docker.io"),
    "13": ("apparmor", "docker.io", "docker-cli", "docker-compose"),
}
PACKAGES = RELEASES["13"]


def plan_docker(settings: Docker, state: HostState) -> Iterable[Configure]:
    """The engine, and Compose only where it is there. `state` is of a release that we keep."""
    release = state.os_version
    compose = _compose_of_13() if release == "12" else _compose_of_its_own()
    for service in (engine(settings, release), compose):
        yield from plan_service(service, state)


def engine(settings: Docker, release: str) -> Service:
    """Logs of a bounded size, and containers that outlive a restart of the engine."""
    options = {"max-size": settings.log_max_size, "max-file": str(settings.log_max_file)}
    daemon = {"live-restore": True, "log-driver": "local", "log-opts": options}
    return Service(
        "docker",
        "Docker's engine, with bounded logs and containers that outlive its restart",
        RELEASES[release],
        (ManagedFile(path=DAEMON, text=json.dumps(daemon, indent=2) + "\n"),),
        # A running one learns live-restore by the reload, so that its restart ends no container.
        "systemctl -q enable docker.service\nsystemctl reload docker.service 2>/dev/null || true\n"
        "systemctl restart docker.service\n",
        _engine_is_not_live,
    )


def _compose_of_13() -> Service:
    """Debian 12's Compose is version 1. That of 13 needs no other package, and nothing else is
    taken from there; the mirror is the one that the host has Debian from already."""
    pin = (
        f"# {NOTE}Package: *\nPin: release n=trixie\nPin-Priority: -1\n\n"
        "Package: docker-compose\nPin: release n=trixie\nPin-Priority: 990\n"
    )
    mirror = (
        "apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Codename: bookworm' "
        "'Created-By: Packages'"
    )
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    return Service(
        "compose",
        "Compose 2, the one package that comes from Debian 13",
        (),
        (ManagedFile(path=COMPOSE_PIN, text=pin),),
        f'mirror=$({mirror} | head -n 1)\ntest -n "$mirror"\n'
        f'echo "deb [signed-by={keys}] $mirror trixie main" >{COMPOSE_LIST}\n'
        # Left behind, a mirror that lacks it would fail each later update.
        f"(apt_install docker-compose) || {{ rm -f {COMPOSE_LIST}; exit 1; }}\n",
        lambda state: "" if _major(state.packages.get("docker-compose")) >= 2 else "installs it",
    )


def _compose_of_its_own() -> Service:
    """A host that was 12, and is 13: the pin would keep all of 13 from it."""
    return Service(
        "compose",
        "Compose 2 is Debian's own now: no package is pinned any more",
        (),
        (),
        f"rm -f {COMPOSE_PIN} {COMPOSE_LIST}\n",
        lambda state: f"removes {COMPOSE_PIN}" if COMPOSE_PIN in state.files else "",
    )


def _major(version: str | None) -> int:
    number = (version or "").partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _engine_is_not_live(state: HostState) -> str:
    if "docker.service" not in state.enabled or state.engine is None:
        return "starts the engine"
    if not state.engine.live_restore or state.engine.log_driver != "local":
        return "lets the engine use its settings"
    return ""
