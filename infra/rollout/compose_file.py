"""What a stack's compose file must say, so that meshkeeper can look after its containers. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.errors import BadInput
from infra.model.declaration import Snapshots
from infra.model.fields import PublishedPort

PUBLISHED = re.compile(
    r"(?P<address>[0-9.]+:)?(?P<port>[0-9]{1,5}):[0-9]{1,5}/(?P<protocol>tcp|udp)", re.ASCII
)
LIMIT = re.compile(r"[1-9][0-9]{0,6}m")


def services(file: Path, rendered: bytes) -> dict[str, dict[str, Any]]:
    """The services of a rendered compose file, by name. `file`: its template, for errors.

    Raises BadInput with a line for each that lacks what meshkeeper goes by.
    """
    try:
        loaded = yaml.safe_load(rendered)
    except yaml.YAMLError as error:
        raise BadInput(f"{file} is not YAML: {error}.") from None
    found = loaded.get("services") if isinstance(loaded, dict) else None
    if not isinstance(found, dict) or not found:
        raise BadInput(f"{file} has no services.")
    problems = [line for name, service in found.items() for line in _problems(name, service)]
    if problems:
        raise BadInput("\n".join([f"{file} can't be used:", *(f"  {line}" for line in problems)]))
    return found


def limit_bytes(service: Mapping[str, Any]) -> int:
    """The memory limit of one of `services`, whose form is known by then: `256m`."""
    return int(service["mem_limit"].removesuffix("m")) * 1024 * 1024


def require_declared_ports(
    file: Path, found: Mapping[str, dict[str, Any]], declared: Iterable[PublishedPort]
) -> None:
    """The firewall goes by the declaration: a port that it does not know would be shut, silently.

    Raises BadInput.
    """
    published = {port for service in found.values() for port in _published(file, service)}
    wanted = {str(port) for port in declared}
    if published != wanted:
        raise BadInput(
            f"{file} publishes {', '.join(sorted(published)) or 'no port'}, and needs.ports declares "
            f"{', '.join(sorted(wanted)) or 'none'}.",
            "Write the same into both; a port for the host alone as 127.0.0.1:9000:9000/tcp.",
        )


def require_snapshot_containers(
    file: Path, found: Mapping[str, dict[str, Any]], declared: Snapshots | None
) -> None:
    """Raises BadInput for a snapshot by a container, or of one's data, that there is not."""
    named = {} if declared is None else {"server": declared.server, "sidecar": declared.sidecar}
    for key, name in named.items():
        if name not in found:
            raise BadInput(
                f"{file} has no service {name}, which snapshot.{key} declares.",
                f"Write one of: {', '.join(found)}.",
            )


def _published(file: Path, service: Mapping[str, Any]) -> Iterator[str]:
    """`443/udp`; without those that are bound to one address, which meshkeeper opens to nobody."""
    for port in service.get("ports") or ():
        match = PUBLISHED.fullmatch(str(port))
        if match is None:
            raise BadInput(f"{file}: the port {port!r} can't be read; write such as '9000:80/tcp'.")
        if not match["address"]:
            yield f"{match['port']}/{match['protocol']}"


def _problems(name: str, service: Any) -> list[str]:
    if not isinstance(service, dict):
        return [f"services.{name}: should be a mapping of keys to values"]
    labels = service.get("labels")
    wanted = {
        "image: write such as python:3.13-slim-trixie": isinstance(service.get("image"), str),
        f"container_name: write {name}, by which it is found": service.get("container_name")
        == name,
        "mem_limit: write such as '{{ stack.memory_mb }}m'": bool(
            LIMIT.fullmatch(str(service.get("mem_limit")))
        ),
        "restart: write unless-stopped, or it is gone after a reboot": service.get("restart")
        == "unless-stopped",
        f"labels: write meshkeeper.config: \"{{{{ marks['{name}'] }}}}\", by which a change is "
        "noticed": isinstance(labels, dict) and "meshkeeper.config" in labels,
    }
    return [f"services.{name}.{problem}" for problem, right in wanted.items() if not right]
