"""What a stack's compose file must say, so that meshkeeper can look after its containers. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.errors import BadInput
from infra.model.declaration import FILE, Declaration
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
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it can't be read"
        raise BadInput(f"{file}{line}: no YAML once it is filled in: {problem}.") from None
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
    published = {port for name in found for port in _published(file, name, found[name])}
    wanted = {str(port) for port in declared}
    if published != wanted:
        raise BadInput(
            f"{file} publishes {', '.join(sorted(published)) or 'no port'}, and needs.ports declares "
            f"{', '.join(sorted(wanted)) or 'none'}.",
            "Write the same into both; a port for the host alone as 127.0.0.1:9000:9000/tcp.",
        )


def require_declared_containers(
    file: Path, found: Mapping[str, dict[str, Any]], stack: str, declared: Declaration
) -> None:
    """Raises BadInput for a container that the declaration names, and that there is not."""
    for place, name in _named(stack, declared):
        if name not in found:
            raise BadInput(
                f"{file} has no service {name}, which {place} of {FILE} names.",
                f"Its services are: {', '.join(found)}.",
            )


def _named(stack: str, declared: Declaration) -> Iterator[tuple[str, str]]:
    """Each container that is named, and where."""
    if declared.snapshot:
        yield "snapshot.server", declared.snapshot.server
        yield "snapshot.sidecar", declared.snapshot.sidecar
    if declared.web:
        yield "web (the container that has the stack's name)", stack
    if declared.reload:
        yield "reload.container", declared.reload.container
    yield from (("reads", name) for name in declared.reads)
    yield from (("interrupts", name) for name in declared.interrupts)
    yield from (("gate.inside", question.container) for question in declared.gate.inside)


def _published(file: Path, name: str, service: Mapping[str, Any]) -> Iterator[str]:
    """`443/udp`; without those that are bound to one address, which meshkeeper opens to nobody."""
    for port in service.get("ports") or ():
        match = PUBLISHED.fullmatch(str(port))
        if match is None:
            raise BadInput(
                f"{file}: services.{name}.ports: {port!r} has not the right form.",
                "Write host's port, container's port and protocol, such as 9000:80/tcp.",
            )
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
