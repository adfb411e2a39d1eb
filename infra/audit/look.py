"""Looks at a host for an audit: from inside in one round trip, and from outside. Changes nothing."""

from infra.access.probe import open_ports
from infra.host.observe import observe
from infra.host.provision import Target, way_in
from infra.model.observation import Observation, ObserveRequest
from infra.model.site_rules import published_ports
from infra.planning.audit_outside import asked_ports


def inside(target: Target) -> Observation:
    """Raises like `connect` and `observe`."""
    request = ObserveRequest(admin=target.site.hosts[target.host].admin, health=True)
    with way_in(target) as session:
        return observe(session, request)


def outside(target: Target, seen: Observation | None) -> frozenset[int]:
    """The ports that answer, of those worth asking. Raises Unreachable."""
    host, ports = target.site.hosts[target.host], published_ports(target.site, target.host)
    return open_ports(host.address, asked_ports(host, ports, seen.host if seen else None))
