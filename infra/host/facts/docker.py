"""Docker, through its socket."""

from __future__ import annotations

import json
import socket

from infra.host.facts.base import PROGRAM_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DOCKER_SOCKET = "/run/docker.sock"


def engine_state() -> dict[str, Any] | None:
    info = docker("/info")
    if info is None:
        return None
    return {
        "version": info["ServerVersion"],
        "live_restore": info["LiveRestoreEnabled"],
        "log_driver": info["LoggingDriver"],
    }


def image_ids(names: list[str]) -> dict[str, str]:
    found = {name: docker("/images/" + name + "/json") for name in names}
    return {name: image["Id"] for name, image in found.items() if image}


def labelled(label: str) -> list[dict[str, Any]]:
    """The containers with a label, as the engine lists them."""
    filters = json.dumps({"label": [label]})
    escaped = "".join(f"%{byte:02X}" for byte in filters.encode())
    return docker("/containers/json?all=1&filters=" + escaped) or []


def marked_projects() -> list[str]:
    """The Compose projects in which meshkeeper has made a container."""
    labels = [entry["Labels"] for entry in labelled("meshkeeper.config")]
    return sorted(
        {
            found["com.docker.compose.project"]
            for found in labels
            if "com.docker.compose.project" in found
        }
    )


def containers_of(project: str) -> dict[str, Any]:
    states = {}
    for entry in labelled("com.docker.compose.project=" + project):
        container = docker("/containers/" + entry["Id"] + "/json")
        if container:
            states[container["Name"].lstrip("/")] = container_state(container)
    return states


def container_state(container: dict[str, Any]) -> dict[str, Any]:
    state, labels = container["State"], container["Config"]["Labels"] or {}
    return {
        "image": container["Config"]["Image"],
        "image_id": container["Image"],
        "running": state["Running"] and not state["Restarting"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "restart_count": container["RestartCount"],
        "config_hash": labels.get("com.docker.compose.config-hash", ""),
        "mark": labels.get("meshkeeper.config", ""),
    }


def docker(path: str) -> Any:
    """The engine's answer; None when it is not there or says no. (No http.client: 12 ms.)"""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PROGRAM_SECONDS)
    try:
        connection.connect(DOCKER_SOCKET)
        connection.sendall(("GET " + path + " HTTP/1.0\r\n\r\n").encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return None
    finally:
        connection.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return json.loads(body) if b" 200 " in head.split(b"\r\n")[0] else None
