"""The wanted state of both stacks, from a site file and the templates. Pure."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from infra.model.request import StackName
from infra.model.site import Site
from infra.model.stack import CANARY_TAG, RenderedFile, RenderedStack

SIDECAR_IMAGE = "python:3.13-slim-trixie"
COMPOSE = "docker-compose.yml"
#: In the order of a rollout.
STACKS: tuple[StackName, ...] = ("headscale", "caddy")
FILES: dict[StackName, tuple[str, ...]] = {
    "headscale": (
        "backup.sh",
        "snapshot.py",
        "config/config.yaml",
        "config/policy.hujson",
        "config/extra_records.json",
        "config/derp.yaml",
    ),
    "caddy": ("Caddyfile", "www/index.html"),
}
ACME_ROOT_AT: dict[StackName, str] = {
    "headscale": "config/acme_root.pem",
    "caddy": "acme_root.pem",
}
#: Keys, certificates and databases: made by the services, never written by us.
DATA: dict[StackName, tuple[str, ...]] = {"headscale": ("data",), "caddy": ("data", "config")}
#: Programs: they go as they are.
VERBATIM = ("backup.sh", "snapshot.py")
#: What each container reads at its start. Caddy reads its files when told to.
READ_BY: dict[str, tuple[str, ...]] = {
    "headscale": ("config/",),
    "headscale-backup": ("backup.sh", "snapshot.py"),
    "caddy": (),
}
_TREE = Path(__file__).resolve().parents[1] / "docker/vps/networking"
_JINJA = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - no HTML of others


def stack_directory(site: Site, stack: StackName) -> PurePosixPath:
    """The stack's folder on its host, in the shape of the user's tree."""
    admin = site.hosts[stack_host(site, stack)].admin
    return PurePosixPath("/home", admin, "docker/vps/networking", stack)


def stack_host(site: Site, stack: StackName) -> str:
    hosts: dict[StackName, str] = {
        "headscale": site.stacks.headscale.host,
        "caddy": site.stacks.caddy.host,
    }
    return hosts[stack]


def backups_directory(site: Site) -> PurePosixPath:
    """Where the sidecar writes its snapshots."""
    admin = site.hosts[site.stacks.headscale.host].admin
    return PurePosixPath("/home", admin, "backups/headscale")


def render_stacks(site: Site, acme_root: bytes | None = None) -> dict[StackName, RenderedStack]:
    """Both stacks in rollout order; `acme_root` is the PEM of `stacks.caddy.acme_root`."""
    style = _text("caddy", "style.css")
    values = {
        "site": site,
        "headscale": site.stacks.headscale,
        "caddy": site.stacks.caddy,
        "headscale_image": f"headscale/headscale:{site.stacks.headscale.version}",
        "caddy_image": f"caddy:{site.stacks.caddy.version}",
        "sidecar_image": SIDECAR_IMAGE,
        "canary_tag": CANARY_TAG,
        "backups": backups_directory(site),
        "acme_root": acme_root is not None,
        "style": style,
        "style_hash": _csp_hash(style),
    }
    return {
        stack: _stack(site, stack, _contents(stack, values, acme_root), values) for stack in STACKS
    }


def _folders(site: Site, stack: StackName) -> dict[PurePosixPath, int]:
    """What is mounted exists before Docker would make it; only root reads the data."""
    home = stack_directory(site, stack)
    folders = {home: 0o755} | {home / PurePosixPath(path).parent: 0o755 for path in FILES[stack]}
    folders |= {home / name: 0o700 for name in DATA[stack]}
    # The sidecar's archives belong to the admin's group, as which they are fetched.
    return folders | ({backups_directory(site): 0o2750} if stack == "headscale" else {})


def _contents(
    stack: StackName, values: dict[str, Any], acme_root: bytes | None
) -> dict[str, bytes]:
    """All files besides the compose file."""
    contents = {name: _content(stack, name, values) for name in FILES[stack]}
    return contents | ({ACME_ROOT_AT[stack]: acme_root} if acme_root else {})


def _stack(
    site: Site, stack: StackName, contents: Mapping[str, bytes], values: dict[str, Any]
) -> RenderedStack:
    """Render the compose file twice: its containers carry a mark of all that they depend on."""
    unmarked = dict.fromkeys(READ_BY, "")
    services = yaml.safe_load(_content(stack, COMPOSE, values | {"marks": unmarked}))["services"]
    marks = {name: _mark(services[name], name, contents) for name in services}
    compose = _content(stack, COMPOSE, values | {"marks": marks})
    return RenderedStack(
        name=stack,
        host=stack_host(site, stack),
        admin=site.hosts[stack_host(site, stack)].admin,
        directory=stack_directory(site, stack),
        folders=_folders(site, stack),
        data=DATA[stack],
        files={
            path: RenderedFile(content=content.decode())
            for path, content in {COMPOSE: compose, **contents}.items()
        },
        containers=marks,
        container_images={name: str(service["image"]) for name, service in services.items()},
        memory={name: _bytes(service["mem_limit"]) for name, service in services.items()},
    )


def _bytes(limit: str) -> int:
    """Of a limit as our templates write it: `256m`."""
    return int(limit.removesuffix("m")) * 1024 * 1024


def _mark(service: dict[str, Any], name: str, contents: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) of a container's declaration and of the files that it reads at its start."""
    digest = hashlib.sha256(json.dumps(service, sort_keys=True).encode())
    for path in sorted(contents):
        if path.startswith(READ_BY[name]):
            digest.update(f"\0{path}\0".encode() + contents[path])
    return digest.hexdigest()


def _content(stack: StackName, name: str, values: dict[str, Any]) -> bytes:
    text = _text(stack, name)
    return (text if name in VERBATIM else _JINJA.from_string(text).render(values)).encode()


def _text(stack: StackName, name: str) -> str:
    return (_TREE / stack / name).read_text(encoding="utf-8")


def _csp_hash(style: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
