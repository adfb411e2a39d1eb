"""Caddy before the restored server, under production's own name.

It can answer `/key` with the key that production had: then a client behaves as one that was
running when production was lost, and still remembers that key.
"""

import json
import re

from infra.drill import server
from infra.drill.config import PORT
from infra.drill.containers import Recipe, create, execute, put
from infra.drill.world import World
from infra.errors import CouldNotRun

ROLE = "front"
#: Where Caddy keeps its files; also the volume that shows clients its root.
_HOME = "/data"
ROOT_FOLDER = "/front"
ROOT = f"{ROOT_FOLDER}/pki/authorities/local/root.crt"

#: The three views that a client can be shown, by file name.
RESTORED, REMEMBERED, REPLACED = "restored", "remembered", "replaced"

_SERVER_KEY = re.compile(r"^mkey:[0-9a-f]{64}\Z")


def start(world: World, image: str, server_key: str | None) -> None:
    """Start Caddy with the view RESTORED; the other two need the pinned `server_key`."""
    recipe = Recipe(
        image=image,
        entrypoint=("caddy", "run", "--adapter", "caddyfile", "--config", f"{_HOME}/{RESTORED}"),
        environment={"HOME": _HOME},
        volumes={ROLE: _HOME},
        aliases=(world.host_name,),
        capabilities=("NET_BIND_SERVICE",),
    )
    container = create(world, ROLE, recipe)
    put(container, _HOME, views(world.host_name, server_key))
    container.start()


def show(world: World, view: str) -> None:
    """Switch what clients see, without a restart."""
    execute(
        world, ROLE, ("caddy", "reload", "--adapter", "caddyfile", "--config", f"{_HOME}/{view}")
    )


def views(host_name: str, server_key: str | None) -> dict[str, bytes]:
    """Caddyfiles by file name."""
    found = {RESTORED: caddyfile(host_name, server.RESTORED)}
    if server_key:
        found[REMEMBERED] = caddyfile(host_name, server.RESTORED, server_key)
        found[REPLACED] = caddyfile(host_name, server.SUCCESSOR, server_key)
    return {name: text.encode() for name, text in found.items()}


def caddyfile(host_name: str, upstream: str, server_key: str | None = None) -> str:
    """A Caddyfile that proxies `host_name` to `upstream`, but for a remembered `/key`."""
    key = _remembered(server_key) if server_key else ""
    return f"""{{
	storage file_system {_HOME}
	persist_config off
	skip_install_trust
}}
{host_name} {{
	tls internal
{key}	reverse_proxy {upstream}:{PORT}
}}
"""


def _remembered(server_key: str) -> str:
    if not _SERVER_KEY.match(server_key):
        raise CouldNotRun(
            "The anchor's server key is not of the form 'mkey:' and 64 hex digits.",
            "Pin it again with 'meshkeeper rollout'.",
        )
    answer = json.dumps({"legacyPublicKey": f"mkey:{'0' * 64}", "publicKey": server_key})
    return f"\thandle /key {{\n\t\theader Content-Type application/json\n\t\trespond `{answer}`\n\t}}\n"
