"""Audit cases: each file in tests/cases/audit changes a host that is in order, and says which
findings are not in order then. Health is merged as the state is (tests/unit/test_host_plan.py)."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.audit.report import render, sentence
from infra.errors import Unreachable
from infra.model.audit import AuditReport, Finding, Grade, HostAudit
from infra.model.observation import Observation
from infra.model.site import Host
from infra.planning.audit import host_findings, host_notes, host_unknown
from infra.planning.audit_outside import (
    WELL_KNOWN,
    asked_ports,
    outside_findings,
    outside_unknown,
)
from tests.unit.test_host_plan import HOST, PORTS, in_order, merged, observed

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests/cases/audit").glob("*.json"))
NOW = 1_795_000_000
HOUR = 3_600
HEALTH: dict[str, Any] = {
    "security_updates": [],
    "lists_at": NOW - 2 * HOUR,
    "upgraded_at": NOW - HOUR,
    "upgrades_since": NOW - 1_000 * HOUR,
    "reboot_required_since": 0,
    "failed_units": [],
    "banned": 2,
    "ram_free_bytes": 1 << 29,
}
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def seen(case: dict[str, Any]) -> Observation:
    """In a case, a time of health is in hours from now on."""
    state = merged(in_order(), {"machine": {"clock": NOW}})
    health = {
        name: value["hours"] * HOUR + NOW if isinstance(value, dict) else value
        for name, value in case.get("health", {}).items()
    }
    answer = {
        "host": merged(state, case.get("state", {})),
        "stacks": {},
        "images": {},
        "projects": [],
        "memory": {"used_bytes": 1 << 29, "containers": {}},
        "mesh": None,
        "health": HEALTH | health,
    }
    return Observation.model_validate_json(json.dumps(answer))


def findings(case: dict[str, Any]) -> tuple[Finding, ...]:
    host = Host(**HOST | case.get("host", {}))
    answering = frozenset(case.get("answering", [80]))
    outside = outside_findings(PORTS, answering, reached=case.get("reached", True))
    return (*host_findings("vps", host, PORTS, seen(case)), *outside)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_audit_of_a_host_that(path: Path) -> None:
    case = json.loads(path.read_text())
    found = findings(case)
    told = {f.item: [f.grade, f.state] for f in found if f.grade is not Grade.IN_ORDER}
    assert told == case["findings"], case["because"]
    for item, state in case.get("in_order", {}).items():
        assert [f.state for f in found if f.item == item] == [state], case["because"]
    assert all(f.proof for f in found)
    assert all(bool(f.todo) == (f.grade is not Grade.IN_ORDER) for f in found)


def test_there_are_cases() -> None:
    assert len(CASES) > 10


def test_the_audit_finds_something_on_each_item_of_the_documented_lists_and_on_no_other() -> None:
    page = (ROOT / "docs/hardening.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = {item for row in rows for item in re.findall(r"`((?:host|outside)\.[\w-]+)`", row)}
    older = findings({"state": {"os_version": "12"}})
    assert {finding.item for finding in older} == documented


def test_what_a_container_cannot_have_is_said_and_is_no_finding() -> None:
    case = {"state": {"machine": {"virtualisation": "docker", "settable": []}}}
    notes = host_notes("vps", Host(**HOST), seen(case))
    assert [note.partition(":")[0] for note in notes] == ["host.swap", "host.time", "host.kernel"]
    assert {"host.swap", "host.time", "host.kernel"}.isdisjoint(f.item for f in findings(case))


def test_a_listener_that_nobody_declared_is_tried_from_outside_and_sshd_never_is() -> None:
    stray = {"protocol": "tcp", "address": "203.0.113.10", "process": "python3"}
    many = [{"port": port, **stray} for port in range(7_000, 7_900)]
    sshd = {"port": ["22", "3306", "80"]}  # what it claims beside the site file's port is asked
    state = observed(
        {"listeners": [*many[:190], {"port": 22, **stray, "process": "sshd"}], "sshd": sshd}
    )
    asked = asked_ports(Host(**HOST), PORTS, state)
    assert asked[:2] == (80, 21)
    assert 3306 in asked
    assert 7_000 in asked
    assert 22 not in asked
    assert len(asked) == 1 + len(WELL_KNOWN) + 20


def audited(*found: Finding, notes: tuple[str, ...] = ()) -> AuditReport:
    host = HostAudit(host="vps", findings=found, notes=notes)
    return AuditReport(site="example.org", started_at=NOON, hosts=(host,))


def test_a_report_begins_with_what_is_to_do_and_ends_with_what_is_in_order() -> None:
    report = audited(*findings({"health": {"banned": None, "failed_units": ["x.service"]}}))
    assert report.grade is Grade.TO_DO
    text, score = render(report), f"{len(report.findings) - 2} of {len(report.findings)} in order"
    assert f"**There is something to do.** {score}." in text
    rows = [line for line in text.splitlines() if line.startswith("- ")]
    assert rows[0] == "- ✘ **host.units: to do** – failed: x.service"
    assert rows[1] == "- ? **host.bans: could not be asked** – the jail does not answer"
    assert rows[2].startswith("- ✔ **host.dpkg: in order**")
    assert (
        "  - asked: systemctl list-units --failed\n"
        "  - do: 'systemctl status UNIT' on the host tells why.\n"
    ) in text
    assert sentence(report) == (
        f"{score}; vps: host.units to do (failed: x.service); "
        "vps: host.bans could not be asked (the jail does not answer)."
    )


def test_a_host_that_gives_no_answer_is_neither_in_order_nor_to_do() -> None:
    gone = Unreachable("No SSH connection to vps.", "Is the machine on?")
    silent = outside_findings(PORTS, frozenset(), reached=False)
    for outside in (outside_unknown(gone), [f for f in silent if f.grade is Grade.NOT_ASKED]):
        report = audited(host_unknown(gone), *outside)
        assert report.grade is Grade.NOT_ASKED
        assert "**Not all could be asked.**" in render(report)
        assert report.score.startswith("0 of ")


def test_names_from_the_host_can_not_forge_a_finding() -> None:
    forged = {"failed_units": ["x.service\n- ✔ **host.sshd: in order** [click](https://evil)"]}
    text = render(audited(*findings({"health": forged})))
    (line,) = [line for line in text.splitlines() if "evil" in line]
    assert line.startswith("- ✘ **host.units: to do** – failed: x.service - ")
    assert "[" not in line
