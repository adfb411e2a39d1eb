"""The wanted state of a site's stacks, from its site file, their declarations and templates."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeVar

from infra.model.declaration import FILE, SECRETS, Declaration, Gate, Question
from infra.model.site import Site
from infra.model.stack import CANARY_TAG, RenderedFile, RenderedSecret, RenderedStack
from infra.planning.order import rollout_order
from infra.rollout.compose_file import (
    limit_bytes,
    require_declared_containers,
    require_declared_ports,
    services,
)
from infra.rollout.templates import Templates

SIDECAR_IMAGE = "python:3.13-slim-trixie"
COMPOSE = "docker-compose.yml"
Q = TypeVar("Q", bound=Question)
#: By stack, and by path below its folder.
Secrets = Mapping[str, Mapping[str, RenderedSecret]]


class Route(NamedTuple):
    """A stack's page: its name in the world, and where the container answers."""

    address: str
    upstream: str


def render_stacks(
    site: Site, acme_root: bytes | None = None, secrets: Secrets | None = None
) -> dict[str, RenderedStack]:
    """All stacks in rollout order; `acme_root` is the PEM of `stacks.caddy.acme_root`.

    `secrets`: of stacks that are to be rolled out; no template sees them.

    Raises BadInput for templates that can't be filled in, and stacks that need each other.
    """
    return {
        name: _stack(site, name, acme_root, (secrets or {}).get(name, {}))
        for name in rollout_order(_needs(site))
    }


def _needs(site: Site) -> dict[str, set[str]]:
    """Who routes to a page comes after it, so that nobody is led to nowhere."""
    declared = {name: site.declared[name].declaration for name in site.stacks.named}
    pages = {name for name, declaration in declared.items() if declaration.web}
    return {
        name: {*declaration.needs.stacks, *(pages if declaration.routes_web else ())}
        for name, declaration in declared.items()
    }


def _stack(
    site: Site, name: str, acme_root: bytes | None, secrets: Mapping[str, RenderedSecret]
) -> RenderedStack:
    """Render the compose file twice: its containers carry a mark of all that they depend on."""
    declared, host = site.declared[name], site.stacks.named[name].host
    declaration, admin = declared.declaration, site.hosts[host].admin
    home = PurePosixPath("/home", admin)
    templates = Templates(declared, _values(site, name, home, acme_root))
    contents = _contents(templates, declaration, acme_root)
    unmarked = templates.content(COMPOSE, marks=_AnyMark())
    found = services(declared.folder / COMPOSE, unmarked)
    require_declared_ports(declared.folder / COMPOSE, found, declaration.needs.ports)
    require_declared_containers(declared.folder / COMPOSE, found, name, declaration)
    read = contents | {path: secret.mark.encode() for path, secret in secrets.items()}
    marks = {service: _mark(found[service], service, declaration, read) for service in found}
    contents = {COMPOSE: templates.content(COMPOSE, marks=marks), **contents}
    return RenderedStack(
        name=name,
        host=host,
        admin=admin,
        directory=home / declared.place,
        folders=_folders(home, home / declared.place, declaration, read),
        data=declaration.data,
        files={path: RenderedFile(content=content.decode()) for path, content in contents.items()},
        secrets=dict(secrets),
        containers=marks,
        container_images={name: str(service["image"]) for name, service in found.items()},
        memory={name: limit_bytes(service) for name, service in found.items()},
        snapshot=declaration.snapshot,
        reload=declaration.reload,
        interrupts=declaration.interrupts,
        gate=_gate(declaration.gate, templates),
    )


def _values(site: Site, name: str, home: PurePosixPath, acme_root: bytes | None) -> dict[str, Any]:
    """What a template may ask for (docs/stacks.md)."""
    return {
        "site": site,
        "stack": site.stacks.named[name],
        "home": home,
        "routes": _routes(site),
        "python_image": SIDECAR_IMAGE,
        "canary_tag": CANARY_TAG,
        "acme_root": acme_root is not None,
    }


def _routes(site: Site) -> tuple[Route, ...]:
    pages = {name: site.declared[name].declaration.web for name in site.stacks.named}
    return tuple(
        Route(f"{web.name}.{site.domain}", f"{name}:{web.port}")
        for name, web in pages.items()
        if web
    )


def _contents(
    templates: Templates, declaration: Declaration, acme_root: bytes | None
) -> dict[str, bytes]:
    """All files besides the compose file."""
    contents = {path: templates.content(path) for path in templates.paths() if path != COMPOSE}
    if acme_root and declaration.acme_root:
        contents[declaration.acme_root] = acme_root
    return contents


def _folders(
    home: PurePosixPath,
    directory: PurePosixPath,
    declaration: Declaration,
    contents: Mapping[str, bytes],
) -> dict[PurePosixPath, int]:
    """What is mounted exists before Docker would make it; only root reads data and secrets.

    A secret's own file can be read by any user of a container: it is shut off by its folder, which
    a container does not pass.
    """
    folders = {directory: 0o755} | {directory / PurePosixPath(p).parent: 0o755 for p in contents}
    folders |= {folder: 0o700 for folder in folders if folder == directory / SECRETS}
    folders |= {directory / name: 0o700 for name in declaration.data}
    return folders | {home / name: int(mode, 8) for name, mode in declaration.home_folders.items()}


def _gate(gate: Gate, templates: Templates) -> Gate:
    """Its addresses are templates, too."""

    def with_address(question: Q) -> Q:
        return question.model_copy(update={"url": templates.filled_in(question.url, FILE)})

    return gate.model_copy(
        update={
            "inside": tuple(with_address(question) for question in gate.inside),
            "outside": tuple(with_address(question) for question in gate.outside),
        }
    )


def _mark(
    service: dict[str, Any], name: str, declaration: Declaration, contents: Mapping[str, bytes]
) -> str:
    """SHA-256 (hex) of a container's declaration and of the files that it reads at its start."""
    digest = hashlib.sha256(json.dumps(service, sort_keys=True).encode())
    read = declaration.reads.get(name, ("",))
    for path in sorted(contents):
        if path.startswith(read):
            digest.update(f"\0{path}\0".encode() + contents[path])
    return digest.hexdigest()


class _AnyMark:
    """Stands for the marks while they are not known yet."""

    def __getitem__(self, _name: str) -> str:
        return ""
