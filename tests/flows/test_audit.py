"""An audit tells how each host is, and ends in a state that is named after its grade."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from deployments.cli.schema import EXAMPLE
from deployments.embedded.registration import schedules
from flows import audit
from infra.errors import BadInput, StepFailed, Unreachable
from infra.model.request import AuditRequest
from infra.model.site import Site
from infra.planning.question import Question

UNITS = Question("host.units", "systemctl list-units --failed")
IN_ORDER = UNITS.in_order("none has failed")
TO_DO = UNITS.to_do("failed: x.service", "Look at it.")
UNKNOWN = UNITS.not_asked("systemd does not tell", "Try again.")
GONE = Unreachable("No SSH connection to vps.", "Is the machine on?")
BOTH = frozenset({80, 443})


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch, site_name: str) -> Any:
    """The state of an audit whose looks give these answers, or raise them."""

    def run(inside: Any, outside: Any = BOTH) -> Any:
        monkeypatch.setattr(audit, "look_inside", lambda _: given(inside))
        monkeypatch.setattr(audit, "host_findings", lambda *_: (inside,))
        monkeypatch.setattr(audit, "host_notes", lambda *_: ())
        monkeypatch.setattr(audit, "look_from_outside", lambda *_: given(outside))
        return audit.audit(AuditRequest(site=site_name), return_state=True)

    return run


def published(state: Any) -> dict[str, Any]:
    """What the run published, by type: markdown, and the report as JSON."""
    of_run = ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id])
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=of_run))
    return {str(artifact.type): str(artifact.data) for artifact in artifacts}


def given(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.mark.parametrize(
    ("looks", "name", "message"),
    [
        ((IN_ORDER, BOTH), "InOrder", "3 of 3 in order."),
        ((TO_DO, BOTH), "Failed", "2 of 3 in order; vps: host.units to do (failed: x.service)."),
        ((UNKNOWN, BOTH), "CouldNotRun", "vps: host.units could not be asked (systemd does not"),
        ((TO_DO, GONE), "Failed", "0 of 3 in order; vps: host.units to do"),
        ((GONE, BOTH), "CouldNotRun", "2 of 3 in order; vps: host.reached could not be asked (No"),
        ((StepFailed("vps: it makes no sense."), BOTH), "CouldNotRun", "it makes no sense"),
        ((BadInput("vps runs Debian 11."), BOTH), "CouldNotRun", "vps runs Debian 11."),
    ],
)
def test_an_audit_ends_in_a_state_named_after_its_grade(
    audited: Any, looks: tuple[Any, Any], name: str, message: str
) -> None:
    state = audited(*looks)
    assert state.name == name
    assert message in str(state.message)


def test_the_report_of_an_audit_that_found_something_is_published(audited: Any) -> None:
    told = published(audited(TO_DO))
    assert "- ✘ **host.units: to do** – failed: x.service" in told["markdown"]
    found = json.loads(told["report"])["hosts"][0]["findings"]
    assert [f["item"] for f in found] == ["host.units", "outside.declared", "outside.closed"]


def test_a_host_behind_a_jump_host_is_not_knocked_at(audited: Any, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    values = yaml.safe_load(site.read_text())
    values["hosts"]["vps"]["jump"] = {"address": "bastion.example.org", "user": "me"}
    site.write_text(yaml.safe_dump(values))
    state = audited(IN_ORDER, outside=AssertionError("it was"))
    assert state.name == "InOrder"
    assert (
        "- Not asked: ports: this machine reaches the host through a jump host"
        in published(state)["markdown"]
    )


@pytest.mark.parametrize(("cron", "planned"), [("50 6 * * *", ["50 6 * * *"]), (None, [])])
def test_an_audit_is_scheduled_as_the_site_file_says(cron: str | None, planned: list[str]) -> None:
    values = yaml.safe_load(EXAMPLE.read_text()) | {"audit": {"schedule": cron}}
    found = schedules(Site.model_validate(values), "flows.audit.audit")
    assert [getattr(one.schedule, "cron", None) for one in found] == planned
