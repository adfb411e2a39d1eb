"""Runs ON the host, as root: one JSON request in, one JSON answer out.

Sent over standard input, so it needs nothing but Python 3.11 there. It reads files and the
Docker socket and starts few programs, since each costs more than all of the rest: the whole
takes about 50 ms. It changes nothing.
"""

# Importing pathlib or typing would cost the host more than all the reading does.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH115, PTH116, PTH118, PTH120, PTH123, PTH208

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import select
import socket
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Program = tuple[int, int]  # its process id, and where its output is read

DOCKER_SOCKET = "/run/docker.sock"
PROGRAM_SECONDS = 10
MOST_FILES = 2000
MOST_BYTES = 32 * 1024 * 1024
MOST_TEXT = 64 * 1024
WANTS = "/etc/systemd/system/multi-user.target.wants"


def main(request: dict[str, Any]) -> None:
    programs = start_programs(request["packages"], request["admin"])
    answer = {
        "stacks": {stack["project"]: stack_state(stack) for stack in request["stacks"]},
        "images": image_ids(request["images"]),
        "mesh": mesh_state(request["database"]),
    }
    engine, machine = engine_state(), machine_state()
    outputs = {name: finish(program) for name, program in programs.items()}
    os_release = settings(read("/etc/os-release"))
    answer["host"] = {
        "os": os_release.get("ID", ""),
        "os_version": os_release.get("VERSION_ID", ""),
        "packages": installed(outputs["dpkg"]),
        "admin": account(request["admin"]),
        "backup": account(request["backup"]),
        "sshd": sshd_settings(outputs["sshd"] + outputs["sshd of the admin"]),
        "files": {path: read(path) for path in request["files"] if os.path.isfile(path)},
        "loose": [path for path in request["files"] if os.path.isfile(path) and is_loose(path)],
        "timezone": timezone(),
        "enabled": sorted(os.listdir(WANTS)) if os.path.isdir(WANTS) else [],
        "firewall": firewall(outputs["iptables"], outputs["ip6tables"]),
        "engine": engine,
        "machine": machine,
    }
    print(json.dumps(answer))


# Programs: all are started first, and do their work while files are read.


def start_programs(packages: list[str], admin: str) -> dict[str, Program | None]:
    # From an address that is in no local network: what `Match` blocks make of such a login counts.
    outside = ",host=outside.invalid,addr=192.0.2.1"
    query = ["-W", "-f", "${db:Status-Abbrev}${Package} ${Version}\n", *packages]
    return {
        "dpkg": start("/usr/bin/dpkg-query", query),
        "sshd": start("/usr/sbin/sshd", ["-T", "-C", "user=root" + outside]),
        "sshd of the admin": start("/usr/sbin/sshd", ["-T", "-C", "user=" + admin + outside]),
        "iptables": start("/usr/sbin/iptables", ["-w", "5", "-S"]),
        "ip6tables": start("/usr/sbin/ip6tables", ["-w", "5", "-S", "INPUT"]),
    }


def start(path: str, arguments: list[str]) -> Program | None:
    """A running program and its output; None where it is not installed. (No subprocess: 8 ms.)"""
    if not os.path.exists(path):
        return None
    reading, writing = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    actions = [
        (os.POSIX_SPAWN_DUP2, end, stream) for stream, end in enumerate((null, writing, null))
    ]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    pid = os.posix_spawn(path, [path, *arguments], environment, file_actions=actions)
    os.close(writing)
    os.close(null)
    return pid, reading


def finish(program: Program | None) -> str:
    if program is None:
        return ""
    pid, reading = program
    output = b""
    while select.select([reading], [], [], PROGRAM_SECONDS)[0]:
        data = os.read(reading, 65536)
        if not data:
            break
        output += data
    else:
        os.kill(pid, 9)
    os.close(reading)
    os.waitpid(pid, 0)
    return output.decode(errors="replace")


def installed(listing: str) -> dict[str, str]:
    # The first letter is what is wanted: a package that is held is there, too.
    lines = [line[3:].split() for line in listing.splitlines() if line[1:3] == "i "]
    return {words[0]: words[1] for words in lines if len(words) > 1}


def sshd_settings(listing: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in listing.splitlines():
        key, _, value = line.partition(" ")
        values = found.setdefault(key, [])
        if value not in values:
            values.append(value)
    keys = (
        "port",
        "permitrootlogin",
        "passwordauthentication",
        "kbdinteractiveauthentication",
        "pubkeyauthentication",
        "authorizedkeysfile",
        "authorizedkeyscommand",
    )
    return {key: found[key] for key in keys if key in found}


# The host


def timezone() -> str:
    """As it is set: the zone's own file may be a link to another one's. Empty where there is none."""
    if not os.path.islink("/etc/localtime") or not os.path.exists("/etc/localtime"):
        return ""
    return os.readlink("/etc/localtime").partition("/zoneinfo/")[2]


def account(name: str) -> dict[str, Any] | None:
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return None
    keys = read(os.path.join(user.pw_dir, ".ssh/authorized_keys")).splitlines()
    return {
        "shell": user.pw_shell,
        "groups": sorted(group.gr_name for group in grp.getgrall() if name in group.gr_mem),
        "authorized_keys": [k.strip() for k in keys if k.strip() and not k.startswith("#")],
    }


def is_loose(path: str) -> bool:
    """Whether others than root may change it, or put another in its place."""
    while path != "/":
        entry = os.stat(path)
        if entry.st_uid or entry.st_mode & 0o002 or (entry.st_gid and entry.st_mode & 0o020):
            return True
        path = os.path.dirname(path)
    return False


def firewall(listing: str, listing6: str) -> dict[str, Any]:
    lines = listing.splitlines()
    tuples = "### tuple ### "
    written = read("/etc/ufw/user.rules") + "\n" + read("/etc/ufw/user6.rules")
    both = [*lines, *listing6.splitlines()]
    marker = "-A DOCKER-USER "
    return {
        "enabled": settings(read("/etc/ufw/ufw.conf")).get("ENABLED") == "yes",
        "policy": settings(read("/etc/default/ufw")).get("DEFAULT_INPUT_POLICY", ""),
        "rules": [x[len(tuples) :].strip() for x in written.splitlines() if x.startswith(tuples)],
        "live_policies": [line.split()[2] for line in both if line.startswith("-P INPUT ")],
        "live_docker": [line[len(marker) :] for line in lines if line.startswith(marker)],
    }


def machine_state() -> dict[str, Any]:
    disk = os.statvfs("/")
    memory = int(read("/proc/meminfo").split()[1]) * 1024
    group = "/sys/fs/cgroup"
    limit = read(group + "/memory.max") or read(group + "/memory/memory.limit_in_bytes")
    quota = read(group + "/cpu.max").split() or [
        read(group + "/cpu/cpu.cfs_quota_us").strip(),
        read(group + "/cpu/cpu.cfs_period_us").strip(),
    ]
    cores = float(os.cpu_count() or 1)
    if quota[0].isdigit() and quota[1].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return {
        "ram_bytes": min(memory, int(limit)) if limit.strip().isdigit() else memory,
        "cores": cores,
        "disk_bytes": disk.f_blocks * disk.f_frsize,
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "kernel": os.uname().release,
    }


# Docker, through its socket


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


def containers_of(project: str) -> dict[str, Any]:
    label = json.dumps({"label": ["com.docker.compose.project=" + project]})
    escaped = "".join(f"%{byte:02X}" for byte in label.encode())
    listed = docker("/containers/json?all=1&filters=" + escaped) or []
    states = {}
    for entry in listed:
        container = docker("/containers/" + entry["Id"] + "/json")
        if container:
            states[container["Name"].lstrip("/")] = container_state(container)
    return states


def container_state(container: dict[str, Any]) -> dict[str, Any]:
    state, labels = container["State"], container["Config"]["Labels"] or {}
    return {
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


# Stacks


def stack_state(stack: dict[str, Any]) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for path in files_below(stack["directory"], set(stack["exclude"])):
        entry = os.lstat(path)
        if stat.S_ISREG(entry.st_mode) and entry.st_size <= MOST_BYTES and len(files) < MOST_FILES:
            with open(path, "rb") as stream:
                digest = hashlib.sha256(stream.read()).hexdigest()
            mode = stat.S_IMODE(entry.st_mode)
            files[os.path.relpath(path, stack["directory"])] = {"sha256": digest, "mode": mode}
    project = stack["project"]
    return {"project": project, "files": files, "containers": containers_of(project)}


def files_below(directory: str, exclude: set[str]) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        relative = os.path.relpath(folder, directory)
        folders[:] = [f for f in folders if os.path.normpath(relative + "/" + f) not in exclude]
        for name in names:
            yield os.path.join(folder, name)


# The mesh


def mesh_state(database: str | None) -> dict[str, Any] | None:
    """From Headscale's database itself: its own command line takes a second on a small host."""
    if database is None or not os.path.isfile(database):
        return None
    import sqlite3  # 5 ms: only for a host that has a mesh

    # After a clean stop there is no WAL, whose index could not be made read-only.
    for mode in ("mode=ro", "immutable=1"):
        try:
            mesh = sqlite3.connect("file:" + database + "?" + mode, uri=True, timeout=5)
            names = mesh.execute("SELECT name FROM users WHERE deleted_at IS NULL").fetchall()
            nodes = mesh.execute(
                "SELECT node_key, tags FROM nodes WHERE deleted_at IS NULL"
            ).fetchall()
        except sqlite3.Error:
            continue
        tagged: dict[str, list[str]] = {}
        for key, tags in nodes:
            for tag in json.loads(tags or "null") or []:
                tagged.setdefault(tag, []).append(key)
        return {"users": [name for (name,) in names if name], "tagged": tagged}
    return None


def read(path: str) -> str:
    """Up to 64 KiB of text; empty where there is no such file."""
    try:
        with open(path, errors="replace") as stream:
            return stream.read(MOST_TEXT)
    except OSError:
        return ""


def settings(text: str) -> dict[str, str]:
    lines = [line.partition("=") for line in text.splitlines() if "=" in line]
    return {key.strip(): value.strip().strip('"') for key, _, value in lines}
