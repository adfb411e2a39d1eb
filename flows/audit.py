"""The audit: how the site's hosts are, item by item, and what to do. It changes nothing."""

from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.definition import site_flow
from infra.audit.report import render, sentence
from infra.errors import CouldNotRun, MeshkeeperError
from infra.host.provision import Target
from infra.model.audit import AuditReport, Finding, Grade, HostAudit
from infra.model.observation import Observation
from infra.model.request import AuditRequest
from infra.model.site_rules import published_ports
from infra.planning.audit import host_findings, host_notes, host_unknown
from infra.planning.audit_outside import outside_findings, outside_unknown
from tasks.audit import look_from_outside, look_inside
from tasks.report import publish_report
from tasks.site import open_site


@site_flow(name="audit", run_name="audit {request.site}")
def audit(request: AuditRequest) -> State[Any]:
    """Look at each host from inside and from outside, grade what was found, and say what to do."""
    opened = open_site(request.site)
    started_at = datetime.now(UTC)
    targets = [Target(opened.settings, opened.site, host) for host in opened.site.hosts]
    hosts = tuple(audit_of(target) for target in targets)
    report = AuditReport(site=request.site, started_at=started_at, hosts=hosts)
    publish_report("audit", render(report), report)
    return ended(report)


def audit_of(target: Target) -> HostAudit:
    """A host that gives no answer, or none to grade, hides nothing of the others."""
    host, ports = target.site.hosts[target.host], published_ports(target.site, target.host)
    seen: Observation | None = None
    notes: tuple[str, ...] = ()
    try:
        seen = look_inside(target)
        findings = host_findings(target.host, host, ports, seen)
        notes = host_notes(target.host, host, seen)
    except MeshkeeperError as error:
        findings = (host_unknown(error),)
    if host.jump:
        notes = (*notes, "ports: this machine reaches the host through a jump host only")
    else:
        findings = (*findings, *from_outside(target, seen))
    return HostAudit(host=target.host, findings=findings, notes=notes)


def from_outside(target: Target, seen: Observation | None) -> tuple[Finding, ...]:
    try:
        answering = look_from_outside(target, seen)
    except CouldNotRun as error:
        return tuple(outside_unknown(error))
    ports = published_ports(target.site, target.host)
    return tuple(outside_findings(ports, answering, reached=seen is not None))


def ended(report: AuditReport) -> State[Any]:
    """The grade as a state: three names that never look alike."""
    if report.grade is Grade.IN_ORDER:
        return Completed(name="InOrder", message=sentence(report))
    name = "Failed" if report.grade is Grade.TO_DO else "CouldNotRun"
    return Failed(name=name, message=sentence(report))
