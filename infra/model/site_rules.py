"""How the parts of a site go together: what no part can know by itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from infra.model.fields import PublishedPort

if TYPE_CHECKING:
    from infra.model.site import Site


def published_ports(site: "Site", host: str) -> tuple[PublishedPort, ...]:
    """The ports that the stacks of `host` open to the internet; sshd's is not among them.

    Sorted: the order of the firewall's rules is no change of them.
    """
    ports = [
        port
        for name, stack in site.stacks.named.items()
        if stack.host == host and name in site.declared
        for port in site.declared[name].declaration.needs.ports
    ]
    return tuple(sorted(ports, key=lambda port: (port.protocol, port.port)))


def _undeclared(site: "Site") -> list[str]:
    known = ", ".join(sorted(site.declared))
    return [
        f"stacks.{name}: no stack of this name is declared; declared are: {known}; one of your own "
        f"is a folder stacks/{name} beside the site file, with a stack.yaml"
        for name in site.stacks.named
        if name not in site.declared
    ]


def _unknown_hosts(site: "Site") -> list[str]:
    known = ", ".join(site.hosts)
    return [
        f"stacks.{name}.host: no host is called {stack.host!r}; write one of: {known}"
        for name, stack in site.stacks.named.items()
        if stack.host not in site.hosts
    ]


def _missing_needs(site: "Site") -> list[str]:
    return [
        f"stacks.{name}: it needs the stack {needed}, which is not here; add stacks.{needed}"
        for name, needed in _needs(site)
        if needed not in site.stacks.named
    ]


def _secrets_apart_from_needs(site: "Site") -> list[str]:
    """Neither is one missing, nor does one lie on a host for nothing."""
    problems = []
    for name in site.stacks.named:
        if name not in site.declared:
            continue
        needed = site.declared[name].declaration.needs.secrets
        given = site.stacks.secrets.get(name, {})
        problems += [
            f"stacks.{name}.secrets.{secret}: is missing, and its stack.yaml needs it; write "
            f"{{secret: {name.replace('-', '_')}_{secret}}} and put the value into the secrets file"
            for secret in needed
            if secret not in given
        ]
        problems += [
            f"stacks.{name}.secrets.{secret}: its stack.yaml needs no such secret; take it out, or "
            "name it there in needs.secrets"
            for secret in given
            if secret not in needed
        ]
    return problems


def _stacks_apart(site: "Site") -> list[str]:
    hosts = {name: stack.host for name, stack in site.stacks.named.items()}
    return [
        f"stacks.{name}.host: {hosts[name]!r} is another host than {needed}'s, which {name} reaches "
        f"on its own host only; write {hosts[needed]}"
        for name, needed in _needs(site)
        if needed in hosts and hosts[name] != hosts[needed]
        if {hosts[name], hosts[needed]} <= site.hosts.keys()
    ]


def _needs(site: "Site") -> list[tuple[str, str]]:
    """(stack, one that it needs), of all that are declared."""
    return [
        (name, needed)
        for name in site.stacks.named
        if name in site.declared
        for needed in site.declared[name].declaration.needs.stacks
    ]


def _double_names(site: "Site") -> list[str]:
    """A page's name belongs to one stack."""
    taken = {site.stacks.headscale.subdomain: "headscale"}
    problems = []
    for name in site.stacks.named:
        web = site.declared[name].declaration.web if name in site.declared else None
        if web and taken.setdefault(web.name, name) != name:
            problems.append(
                f"stacks.{name}: its page is {web.name}.{site.domain}, which is {taken[web.name]}'s "
                "already; write another web.name into its stack.yaml"
            )
    return problems


def _publishers(site: "Site", host: str, port: PublishedPort) -> list[str]:
    """The stacks of `host` that publish this port."""
    return [
        name
        for name, stack in site.stacks.named.items()
        if stack.host == host
        and name in site.declared
        and port in site.declared[name].declaration.needs.ports
    ]


def _double_ports(site: "Site") -> list[str]:
    problems = []
    for host in site.hosts:
        ports = published_ports(site, host)
        problems += [
            f"stacks: {port} of {host} is published by two stacks "
            f"({', '.join(_publishers(site, host, port))}); take one of them out, or move it"
            for port in dict.fromkeys(ports)
            if ports.count(port) > 1
        ]
    return problems


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
        f"hosts.{name}.port: {host.port}/tcp is also published by a stack "
        f"({', '.join(_publishers(site, name, PublishedPort(port=host.port)))}); write another port, "
        "or take it out of that stack"
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


_STACK, _STACK_HOST = ("stacks", "*"), ("stacks", "*", "host")

RULES = (
    Rule((_STACK,), _undeclared),
    Rule((("hosts", "*"), _STACK_HOST), _unknown_hosts),
    Rule((_STACK,), _missing_needs),
    Rule((("stacks", "*", "secrets", "*"),), _secrets_apart_from_needs),
    Rule((("hosts", "*"), _STACK_HOST), _stacks_apart),
    Rule((("domain",), ("stacks", "headscale", "subdomain"), _STACK), _double_names),
    Rule((("hosts", "*"), _STACK_HOST), _double_ports),
    Rule(
        (
            ("domain",),
            ("stacks", "headscale", "subdomain"),
            ("stacks", "headscale", "base_domain"),
        ),
        _swallowed_names,
    ),
    Rule(
        (("hosts", "*", "port"), _STACK_HOST),
        _port_collisions,
    ),
    Rule(
        (("hosts", "*", "admin_keys"), ("hosts", "*", "backup_keys")),
        _backup_keys_of_admins,
    ),
)
