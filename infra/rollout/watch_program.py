"""Runs on the host, as root, over standard input: watches containers that were just started.

Standard library only, Python 3.11 or newer. It ends early when one of them is no longer as it was,
and prints one line of JSON. All that it asks is the engine's socket: a look takes milliseconds.
"""

import json
import socket
import sys
import time
from typing import Any

SOCKET = "/run/docker.sock"
#: Of the memory that a control group counts: what the kernel takes back before it kills anything.
CACHES = ("inactive_file", "active_file", "slab_reclaimable")
#: Seconds.
PAUSE, PATIENCE = 0.5, 10

Request = dict[str, Any]
Facts = dict[str, Any]


def watch(request: Request) -> dict[str, Any]:
    names, began = request["containers"], time.monotonic()
    first = {name: look(name) for name in names}
    while True:
        now = {name: look(name) for name in names}
        seconds = time.monotonic() - began
        found = [(name, text) for name in names if (text := differs(first[name], now[name]))]
        if found or seconds >= request["seconds"]:
            break
        time.sleep(PAUSE)
    if not found:
        found = [(name, text) for name in names if (text := too_full(now[name], request))]
    memory = {name: facts["memory"] for name, facts in now.items()}
    return {"seconds": seconds, "problems": dict(found), "memory": memory}


def differs(first: Facts, now: Facts) -> str:
    """What is wrong with a container that was in order before; empty: nothing."""
    if now["restarts"] != first["restarts"] or now["started"] != first["started"]:
        return f"ended and was started again ({now['restarts']} restarts since it was made)"
    if not now["running"]:
        return f"is {now['state']}, exit status {now['exit']}"
    if now["killed"] and not first["killed"]:
        return f"had a process killed for want of memory (limit {mebibytes(now['limit'])})"
    return "is unhealthy" if now["health"] == "unhealthy" else ""


def too_full(now: Facts, request: Request) -> str:
    """Judged at the end alone: a peak passes, and a kill is seen by itself."""
    if now["memory"] <= now["limit"] * request["share"]:
        return ""
    used, limit = mebibytes(now["memory"]), mebibytes(now["limit"])
    return f"uses {used} of its limit of {limit}"


def look(name: str) -> Facts:
    shown = docker(f"/containers/{name}/json")
    if shown is None:
        shown = {"RestartCount": 0, "State": {"Status": "gone"}}
    state = shown["State"]
    usage, limit = memory(name)
    return {
        "restarts": shown["RestartCount"],
        "started": state.get("StartedAt", ""),
        "running": bool(state.get("Running")) and not state.get("Restarting"),
        "state": state["Status"],
        "exit": state.get("ExitCode", 0),
        "killed": bool(state.get("OOMKilled")),
        "health": (state.get("Health") or {}).get("Status", ""),
        "memory": usage,
        "limit": limit,
    }


def memory(name: str) -> tuple[int, int]:
    """Bytes in use and the limit. Without the cache, that of files in steady use included.

    `docker stats` counts the latter: by it a server that has read its database twice is near its limit.
    """
    found = (docker(f"/containers/{name}/stats?stream=false&one-shot=true") or {}).get(
        "memory_stats", {}
    )
    parts = found.get("stats") or {}
    cache = sum(parts.get("total_" + kind, parts.get(kind, 0)) for kind in CACHES)
    return max(0, found.get("usage", 0) - cache), found.get("limit", 0)


def mebibytes(size: int) -> str:
    return f"{size / 1024**2:.0f} MiB"


def docker(path: str) -> Any:
    """The engine's answer; None for another than 200."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    with connection:
        connection.connect(SOCKET)
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return json.loads(body) if b" 200 " in head.split(b"\r\n")[0] else None


def main(request: Request) -> None:
    json.dump(watch(request), sys.stdout)
