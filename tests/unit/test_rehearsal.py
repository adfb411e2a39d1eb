"""A rehearsal's parts: what the new version is started on, what counts as lost, what is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.cli.schema import EXAMPLE
from infra.drill.case import Restored
from infra.drill.compare import lost_rows
from infra.drill.findings import Findings
from infra.drill.proofs.outcome import failed, passed
from infra.drill.rehearsal import migrated_from, report_of, upgraded
from infra.drill.rehearsal_report import render
from infra.errors import CouldNotRun
from infra.model.drill import Kind
from infra.model.rehearsal import RehearsalReport, RehearsalVerdict
from infra.model.snapshot import CONFIG, DATABASE, NOISE_KEY, POLICY, Manifest
from infra.model.stack import RenderedStack
from infra.rollout.render import render_stacks
from infra.site_file import load_site
from tests.samples import FACTS

NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
PASSED = tuple(passed(kind=kind, expected="it", found="it") for kind in Kind)
BEGUN = RehearsalReport(
    site="example.org",
    running=None,
    wanted="0.29.2",
    snapshot=None,
    snapshot_age_seconds=None,
    evidence=(),
    verdict=RehearsalVerdict.COULD_NOT_RUN,
    started_at=NOON,
    seconds=0,
)


def manifest(image: str = "headscale/headscale:0.28.0") -> Manifest:
    return Manifest(
        id="20261127T113000Z",
        created_at=NOON - timedelta(minutes=30),
        image=image,
        files={},
        facts=FACTS,
    )


def restored(folder: Path) -> Restored:
    (folder / "snapshot").mkdir()
    for name in (CONFIG, DATABASE):
        (folder / "snapshot" / name).write_text("the snapshot's")
    return Restored(id="20261127T113000Z", folder=folder / "snapshot", manifest=manifest())


def wanted() -> RenderedStack:
    return render_stacks(load_site(EXAMPLE))["headscale"]


def test_the_new_version_gets_the_data_and_the_wanted_configuration(tmp_path: Path) -> None:
    case, stack = restored(tmp_path), wanted()
    found = upgraded(case, stack, tmp_path / "upgraded")
    assert (found.folder / DATABASE).read_text() == "the snapshot's"
    assert (found.folder / CONFIG).read_text() == stack.files[f"config/{CONFIG}"].content
    assert (case.folder / CONFIG).read_text() == "the snapshot's"
    assert found.image == stack.container_images["headscale"]
    assert found.policy_sha256 == stack.files[f"config/{POLICY}"].sha256


def test_a_key_that_the_snapshot_lacks_is_not_made_up(tmp_path: Path) -> None:
    found = upgraded(restored(tmp_path), wanted(), tmp_path / "upgraded")
    assert not (found.folder / NOISE_KEY).exists()


def test_a_migration_may_change_all_tables_but_those_of_the_mesh() -> None:
    before = {"users": 2, "nodes": 3, "pre_auth_keys": 1, "api_keys": 0, "routes": 4}
    after = {"users": 2, "nodes": 3, "pre_auth_keys": 1, "api_keys": 0, "database_versions": 1}
    assert lost_rows(before, after) == []
    assert lost_rows(before, after | {"nodes": 2}) == [
        "table 'nodes': 3 rows before the migration, 2 rows after it"
    ]
    del after["api_keys"]
    assert lost_rows(before, after) == [
        "table 'api_keys': 0 rows before the migration, no such table after it"
    ]


@pytest.mark.parametrize(
    ("image", "running", "fresh"),
    [
        ("headscale/headscale:0.28.0", None, False),
        ("headscale/headscale:0.28.0", "0.28.0", False),
        # Where a rollout was cut off, the sidecar is new already and headscale is not.
        ("headscale/headscale:0.29.2", "0.28.0", True),
    ],
)
def test_the_data_is_that_of_the_running_version(
    image: str, running: str | None, fresh: bool
) -> None:
    assert str(migrated_from(manifest(image), running, fresh=fresh)) == "0.28.0"


@pytest.mark.parametrize(
    ("image", "running", "fresh"),
    [
        ("headscale/headscale:0.28.0", "0.28.1", False),
        ("headscale/headscale:latest", None, True),
        ("evil/headscale:0.28.0", "0.28.0", False),
    ],
)
def test_an_older_snapshot_of_another_version_tells_nothing_of_the_upgrade(
    image: str, running: str | None, fresh: bool
) -> None:
    with pytest.raises(CouldNotRun, match="The newest snapshot"):
        migrated_from(manifest(image), running, fresh=fresh)


def test_a_report_states_the_step_the_snapshot_and_the_verdict(tmp_path: Path) -> None:
    findings = Findings(restored=restored(tmp_path), evidence=PASSED)
    report = report_of(findings, BEGUN, NOON + timedelta(seconds=21))
    assert report.verdict is RehearsalVerdict.PASSED
    assert report.headline == (
        "headscale 0.28.0 → 0.29.2: the rehearsal on snapshot 20261127T113000Z passed."
    )
    text = render(report)
    assert "**Passed.**" in text
    assert "30 min 0 s from the rehearsal's begin" in text
    assert "All took 21 s." in text


def test_one_proof_that_failed_fails_the_rehearsal(tmp_path: Path) -> None:
    lost = failed(kind=Kind.DATA, expected="3 nodes", found="2 nodes", reason="a node is missing")
    evidence = (*(one for one in PASSED if one.kind is not Kind.DATA), lost)
    report = report_of(Findings(restored=restored(tmp_path), evidence=evidence), BEGUN, NOON)
    assert (report.verdict, report.reason) == (
        RehearsalVerdict.FAILED,
        "data: a node is missing.",
    )
    assert report.headline.endswith("failed. The host was not touched.")
    assert "**Failed.**" in render(report)


def test_a_rehearsal_that_could_not_run_looks_like_no_other() -> None:
    begun = BEGUN.model_copy(update={"not_fresh": "no answer <b>"})
    report = report_of(Findings(problem="No Docker engine answers."), begun, NOON)
    text = render(report)
    assert report.verdict is RehearsalVerdict.COULD_NOT_RUN
    assert "**Could not run.** Nothing is known" in text
    assert "> No Docker engine answers." in text
    assert "It is not a fresh one: no answer &#60;b&#62;" in text
