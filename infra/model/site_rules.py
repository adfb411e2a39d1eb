"""How the parts of a site go together: what no part can know by itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from infra.model.fields import PublishedPort

if TYPE_CHECKING:
    from infra.model.site import Site


def published_ports(site: "Site", host: str) -> tuple[PublishedPort, ...]:
    """The ports that the stacks of `host` open to the internet; sshd's is not among them."""
    ports: list[PublishedPort] = []
    if site.stacks.caddy.host == host:
        ports += [PublishedPort(port=80), PublishedPort(port=443)]
        ports.append(PublishedPort(port=443, protocol="udp"))
    if site.stacks.headscale.host == host:
        ports.append(PublishedPort(port=3478, protocol="udp"))
    return tuple(ports)


def _unknown_hosts(site: "Site") -> list[str]:
    named = {"headscale": site.stacks.headscale.host, "caddy": site.stacks.caddy.host}
    known = ", ".join(site.hosts)
    return [
        f"stacks.{stack}.host: no host is called {host!r}; write one of: {known}"
        for stack, host in named.items()
        if host not in site.hosts
    ]


def _stacks_apart(site: "Site") -> list[str]:
    headscale, caddy = site.stacks.headscale.host, site.stacks.caddy.host
    if headscale == caddy or not {headscale, caddy} <= site.hosts.keys():
        return []
    return [
        f"stacks.caddy.host: {caddy!r} is another host than headscale's, which Caddy reaches on "
        f"its own host only; write {headscale}"
    ]


def _swallowed_names(site: "Site") -> list[str]:
    base, server = site.stacks.headscale.base_domain, site.headscale_name
    if server == base or server.endswith(f".{base}"):
        return [
            f"stacks.headscale.base_domain: {base!r} would swallow {server}, so clients could not "
            f"find the server; write another, such as 'mesh.{site.domain}'"
        ]
    return []


def _port_collisions(site: "Site") -> list[str]:
    return [
        f"hosts.{name}.port: {host.port}/tcp is also published by a stack; write another port"
        for name, host in site.hosts.items()
        if PublishedPort(port=host.port) in published_ports(site, name)
    ]


def _backup_keys_of_admins(site: "Site") -> list[str]:
    """One that is both would open everything from the machine where it lies unguarded."""
    return [
        f"hosts.{name}.backup_keys[{number}]: this key is in admin_keys, too, and may do anything; "
        "make another with ssh-keygen -N ''"
        for name, host in site.hosts.items()
        for number, key in enumerate(host.backup_keys)
        if key.split()[:2] in [admin.split()[:2] for admin in host.admin_keys]
    ]


class Rule(NamedTuple):
    """How parts of a site go together; `reads` are their paths, `*` for any name."""

    reads: tuple[tuple[str, ...], ...]
    check: Callable[["Site"], list[str]]


_HEADSCALE_HOST = ("stacks", "headscale", "host")
_CADDY_HOST = ("stacks", "caddy", "host")

RULES = (
    Rule((("hosts", "*"), _HEADSCALE_HOST, _CADDY_HOST), _unknown_hosts),
    Rule((("hosts", "*"), _HEADSCALE_HOST, _CADDY_HOST), _stacks_apart),
    Rule(
        (
            ("domain",),
            ("stacks", "headscale", "subdomain"),
            ("stacks", "headscale", "base_domain"),
        ),
        _swallowed_names,
    ),
    Rule(
        (("hosts", "*", "port"), _HEADSCALE_HOST, _CADDY_HOST),
        _port_collisions,
    ),
    Rule(
        (("hosts", "*", "admin_keys"), ("hosts", "*", "backup_keys")),
        _backup_keys_of_admins,
    ),
)
