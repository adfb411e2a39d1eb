"""What `doctor` looks at for one site: its secrets, its repository, its names, its hosts."""

import os
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from deployments.cli.check import Check, attempt
from deployments.cli.key_checks import checks_of_keys
from infra.access.anchor import canary_key, load_anchor
from infra.access.names import addresses
from infra.access.restic import RepositoryMissing
from infra.backup.store import site_repository, tags
from infra.errors import BadInput, CouldNotRun, DockerUnavailable
from infra.host.provision import Target, way_in
from infra.images.engine import find_image
from infra.model.site import SecretRef, Site
from infra.rollout.render import render_stacks
from infra.settings import Settings, read_secret
from infra.text import counted

#: Seconds for the repository; restic itself asks a dead server for 15 minutes.
PATIENCE = 30
#: Bytes on the repository's disk: many weeks of snapshots of a small mesh.
SPACE_NEEDED = 256 * 1024**2


def checks_of_site(settings: Settings, site: Site) -> list[Check]:
    """What this site needs of this machine, and what must be so outside."""
    secrets = {ref.secret: ref for ref in _secrets(site)}
    hosts, names = list(site.hosts), (site.domain, site.headscale_name, *site.pages.values())
    return [
        *(attempt(f"secret {name}", _present, settings, ref) for name, ref in secrets.items()),
        attempt("repository", _repository, settings, site),
        *_roots(site),
        attempt("anchor", _anchor, settings, site),
        attempt("images", _images, site),
        *checks_of_keys(settings, site),
        *(attempt(name, _leads_to_host, site, name) for name in names),
        *(attempt(f"host {host}", _logged_in, Target(settings, site, host)) for host in hosts),
    ]


def _images(site: Site) -> str:
    """How many of the images are here; a rollout gets the others by itself."""
    names = {image for stack in render_stacks(site).values() for image in stack.images}
    try:
        here = sum(find_image(name) is not None for name in names)
    except DockerUnavailable:
        return "unknown, while no engine answers"
    rest = "" if here == len(names) else "; a rollout pulls or builds the others"
    return f"{here} of {len(names)} are here{rest}"


def _secrets(site: Site) -> Iterator[SecretRef]:
    yield from (site.backup.password, *site.backup.credentials.values())
    yield from (host.sudo_password for host in site.hosts.values() if host.sudo_password)
    for references in site.stacks.secrets.values():
        yield from references.values()


def _present(settings: Settings, secret: SecretRef) -> str:
    read_secret(settings, secret)
    return "is there"


def _repository(settings: Settings, site: Site) -> str:
    repository = site_repository(settings, site)
    _refuse_read_only(Path(repository.location))
    try:
        stored = repository.snapshots(tags(site.name), timeout=PATIENCE)
    except RepositoryMissing:
        if load_anchor(settings, site.name).last_verified:
            raise
        return f"{repository}: not there yet, the first backup makes it"
    return f"{repository} opens with the password: {counted(len(stored), 'snapshot')}"


def _refuse_read_only(place: Path) -> None:
    """A repository on a disk of this machine, that is; of all others only a backup tells."""
    if place.is_dir() and os.statvfs(place).f_flag & os.ST_RDONLY:
        raise CouldNotRun(f"{place} is on a disk that is mounted read-only.", "Mount it to write.")
    if place.is_dir() and not os.access(place, os.W_OK):
        raise CouldNotRun(f"You may not write to {place}.", "Make it your own: chown.")
    if place.is_dir() and (free := shutil.disk_usage(place).free) < SPACE_NEEDED:
        raise CouldNotRun(f"Only {free // 1024**2} MiB are free at {place}.", "Make room there.")


def _roots(site: Site) -> list[Check]:
    given = {
        "stacks.caddy.acme_root": site.stacks.caddy.acme_root,
        "network.extra_root": site.network.extra_root,
    }
    return [attempt(name, _root, name, path) for name, path in given.items() if path]


def _root(name: str, path: PurePosixPath) -> str:
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:  # an SSLError is one
        raise BadInput(
            f"{path} is no PEM file that can be read: {error.strerror or error}.",
            f"Correct {name} in the site file, or leave it out.",
        ) from None
    return str(path)


def _anchor(settings: Settings, site: Site) -> str:
    anchor = load_anchor(settings, site.name)
    if anchor.server_key is None:
        return "nothing is pinned yet, the first rollout does it"
    if canary_key(settings, site.name) is None:
        raise CouldNotRun(
            "The canary's state is not here, so no drill can prove a login.",
            "Run 'meshkeeper rollout', which enrols it anew.",
        )
    return f"the server's key {anchor.server_key[:17]}… is pinned, the canary is enrolled"


def _leads_to_host(site: Site, name: str) -> str:
    """Where the site's host is named by an address, its names must lead there."""
    address = site.hosts[site.stacks.caddy.host].address
    resolver = site.network.resolver
    found = addresses(name, resolver)
    if not found:
        raise CouldNotRun(f"{name} has no address.", f"Add an A record that points to {address}.")
    told = ", ".join(sorted(found))
    if not found & addresses(address, resolver):
        raise CouldNotRun(
            f"{name} leads to {told}, not to the host.",
            f"Point its A record to {address}, with no proxy before it (Cloudflare: DNS only).",
        )
    return f"leads to {told}"


def _logged_in(target: Target) -> str:
    with way_in(target) as session:
        session.check("looking whether it answers", "true")
        user = session.login.user
    news = "" if user == target.admin.user else f"; only {user} can log in: not provisioned yet"
    return f"{target.admin.address} answers, with the pinned host key{news}"
