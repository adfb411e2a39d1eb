"""What a stack's compose file must say, so that meshkeeper can look after its containers. Pure."""

import re
from pathlib import Path
from typing import Any

import yaml

from infra.errors import BadInput

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
