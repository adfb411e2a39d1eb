"""Runs ON the host, as root: one JSON request in, one JSON answer out. It changes nothing.

The modules of this package are joined to one program and sent over standard input, so it needs
nothing but Python there (3.11; 3.9 for a Debian 11, which is refused by its answer). It reads files and the Docker socket and starts few programs, since
each costs more than all of the rest: the whole takes about 50 ms. Importing pathlib or typing would
cost the host more than all the reading does.
"""

from __future__ import annotations

import json
import os
import time

from infra.host.facts.accounts import account, other_accounts
from infra.host.facts.base import finish, listed, read, settings, start
from infra.host.facts.docker import engine_state, image_ids, marked_projects
from infra.host.facts.firewall import firewall
from infra.host.facts.health import health_state, start_health
from infra.host.facts.listeners import listeners
from infra.host.facts.machine import machine_state
from infra.host.facts.memory import memory_state
from infra.host.facts.stacks import mesh_state, stack_state
from infra.host.facts.system import (
    APPLIED,
    GUARD_MARKS,
    WANTS,
    clock_set,
    cloud_init_runs,
    file_mode,
    installed,
    is_loose,
    match_blocks,
    peer,
    running_services,
    size_with_new,
    sshd_settings,
    swaps,
    sysctl,
    timezone,
    unfinished,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from infra.host.facts.base import Program


def main(request: dict[str, Any]) -> None:
    programs = start_programs(request["admin"])
    health = start_health() if request["health"] else None
    answer = {
        "stacks": {stack["project"]: stack_state(stack) for stack in request["stacks"]},
        "images": image_ids(request["images"]),
        "projects": marked_projects(),
        "memory": memory_state(),
        "mesh": mesh_state(request["database"]),
    }
    engine, machine = engine_state(), machine_state()
    outputs = {name: finish(program) for name, program in programs.items()}
    answer["host"] = host_state(request, outputs, engine, machine)
    answer["health"] = health_state(health) if health else None
    machine["clock"] = time.time()
    print(json.dumps(answer))


def host_state(
    request: dict[str, Any],
    outputs: dict[str, str],
    engine: dict[str, Any] | None,
    machine: dict[str, Any],
) -> dict[str, Any]:
    os_release = settings(read("/etc/os-release"))
    return {
        "os": os_release.get("ID", ""),
        "os_version": os_release.get("VERSION_ID", ""),
        "packages": installed(outputs["dpkg"], request["packages"]),
        "unfinished": unfinished(outputs["dpkg"]),
        "admin": account(request["admin"]),
        "backup": account(request["backup"]),
        "other_accounts": other_accounts(["root", "%sudo", request["admin"], request["backup"]]),
        "sshd": sshd_settings(outputs["sshd"] + outputs["sshd of the admin"], request["sshd"]),
        "match_blocks": match_blocks(request["sshd_drop_in"]),
        "files": {path: read(path) for path in request["files"] if os.path.isfile(path)},
        "loose": [path for path in request["files"] if os.path.isfile(path) and is_loose(path)],
        "timezone": timezone(),
        "enabled": sorted(unit for folder in WANTS for unit in listed(folder)),
        "firewall": firewall(outputs["iptables"], outputs["ip6tables"]),
        "engine": engine,
        "machine": machine,
        "running": running_services(),
        "applied": {item: read(os.path.join(APPLIED, item)) for item in listed(APPLIED)},
        "sysctl": {key: value for key in request["sysctls"] if (value := sysctl(key))},
        "swaps": swaps(),
        "swap_file_bytes": size_with_new(request["swap_file"]),
        "clock_set": clock_set(),
        "modes": {path: mode for path in request["modes"] if (mode := file_mode(path))},
        "unconfirmed": any(os.path.exists(mark) for mark in GUARD_MARKS),
        "peer": peer(),
        "cloud_init_runs": cloud_init_runs(),
        **listeners(),
    }


def start_programs(admin: str) -> dict[str, Program | None]:
    # From an address that is in no local network: what `Match` blocks make of such a login counts.
    outside = ",host=outside.invalid,addr=192.0.2.1"
    query = ["-W", "-f", "${db:Status-Abbrev}${Package} ${Version}\n"]
    return {
        "dpkg": start("/usr/bin/dpkg-query", query),
        "sshd": start("/usr/sbin/sshd", ["-T", "-C", "user=root" + outside]),
        "sshd of the admin": start("/usr/sbin/sshd", ["-T", "-C", "user=" + admin + outside]),
        "iptables": start("/usr/sbin/iptables", ["-w", "5", "-S"]),
        "ip6tables": start("/usr/sbin/ip6tables", ["-w", "5", "-S"]),
    }
