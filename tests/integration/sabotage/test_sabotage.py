"""Fourteen sabotages: each is found, for its own reason, and nothing else is blamed."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest
from prefect.client.schemas.objects import State

from deployments.cli.flow import exit_code
from infra.model.drill import DrillReport, Kind, Outcome, Verdict
from infra.model.site import Site
from tests.integration.sabotage import acts
from tests.integration.sabotage.bench import (
    SECRET,
    SITE,
    ControlMachine,
    store_harmed,
)
from tests.integration.sabotage.production import Production, lost_production

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

Reasons = dict[Kind, tuple[Outcome, str]]

KEY = r"mkey:[0-9a-f]{12}…"
HASH = "[0-9a-f]{64}"
NO_SERVER = (Outcome.NOT_REACHED, "the restored server does not run")


class Sabotage(NamedTuple):
    """What is done, and what exactly a drill must then say; a kind not named here passes."""

    act: acts.Act
    expected: Reasons


def failed(reason: str) -> tuple[Outcome, str]:
    return Outcome.FAILED, reason


def without_server(data: str) -> Reasons:
    silent = (Kind.IDENTITY, Kind.LOGIN, Kind.RUNNING_CLIENT, Kind.RELAY)
    return {Kind.DATA: failed(data)} | dict.fromkeys(silent, NO_SERVER)


LOCKED_OUT = failed(
    "clients that are running would be locked out until restarted: with production's key in "
    "memory, after [0-9]+ s it was still in the state '(NoState|Starting)'"
)
UNKNOWN_CLIENT = "the server does not know it, and asks it to register anew"
MISSING = "{0}: expected in the manifest, but it is not listed there; {0}: expected in the snapshot, but it is missing"

FAILURES = {
    "keyless": Sabotage(
        acts.keyless,
        {
            Kind.FILES: failed(MISSING.format("noise_private.key")),
            Kind.IDENTITY: failed(
                f"the restored server's key {KEY} is not the one pinned at the first rollout, {KEY}; "
                f"the restored server's key {KEY} is not the one in the manifest, {KEY}"
            ),
            Kind.RUNNING_CLIENT: LOCKED_OUT,
        },
    ),
    "foreign key in file and manifest alike": Sabotage(
        acts.foreign_key,
        {
            Kind.IDENTITY: failed(
                f"the restored server's key mkey:07a37cbc1420… is not the one pinned at the first "
                f"rollout, {KEY}"
            ),
            Kind.RUNNING_CLIENT: LOCKED_OUT,
        },
    ),
    "truncated database": Sabotage(
        acts.truncated_database,
        {Kind.FILES: failed(r"db\.sqlite: expected \d+ bytes, found 20480")}
        | without_server(
            "headscale/headscale:0.29.2 does not start on this snapshot: it ended: "
            ".*database disk image is malformed.*"
        ),
    ),
    "the last transaction missing": Sabotage(
        acts.last_transaction_missing,
        {
            Kind.DATA: failed(
                "users: expected 3, found 2: 'latecomer' is missing; "
                "table 'users': expected 3 rows, found 2 rows"
            )
        },
    ),
    "rows missing": Sabotage(
        acts.rows_missing,
        {
            Kind.DATA: failed(
                "nodes: expected 3, found 2: 'client-b' is missing; "
                "table 'nodes': expected 3 rows, found 2 rows"
            )
        },
    ),
    "a client that is no longer known": Sabotage(
        acts.another_canary,
        {
            Kind.LOGIN: failed(f"the canary meshkeeper-canary could not log in: {UNKNOWN_CLIENT}"),
            Kind.RUNNING_CLIENT: failed(
                "clients that are running would be locked out until restarted: "
                f"with production's key in memory, {UNKNOWN_CLIENT}"
            ),
        },
    ),
    "a version that contradicts the database": Sabotage(
        acts.contradicting_version,
        without_server(
            "headscale/headscale:0.28.0 does not start on this snapshot: it ended: "
            ".*validating schema: invalid schema .*Remove table .*database_versions.*"
        ),
    ),
    "manifest of another snapshot": Sabotage(
        acts.manifest_of_another,
        {
            Kind.FILES: failed(
                r"the manifest is that of \d{8}T\d{6}Z, not of \d{8}T\d{6}Z; "
                rf"db\.sqlite: expected SHA-256 {HASH}, found {HASH}"
            ),
            Kind.DATA: failed(
                "users: expected 2, found 3: 'latecomer' should not be there; "
                "table 'users': expected 2 rows, found 3 rows"
            ),
        },
    ),
    "one flipped byte": Sabotage(
        acts.flipped_byte,
        {Kind.FILES: failed(rf"db\.sqlite: expected SHA-256 {HASH}, found {HASH}")},
    ),
    "empty policy": Sabotage(
        acts.empty_policy,
        {Kind.DATA: failed("policy: expected the one that was rolled out, found an empty one")},
    ),
    "missing relay key": Sabotage(
        acts.without_relay_key,
        {
            Kind.FILES: failed(MISSING.format("derp_server_private.key")),
            Kind.RELAY: failed(
                "the restored relay's key [0-9a-f]{12}… is not the one pinned at the first "
                "rollout, [0-9a-f]{12}…; the restored relay's key [0-9a-f]{12}… is not the one in "
                "the manifest, [0-9a-f]{12}…"
            ),
        },
    ),
}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Production:
    folder = tmp_path_factory.mktemp("production")
    return lost_production(docker.from_env(), Site.model_validate(SITE), folder)


def exit_code_of(state: State[Any]) -> int:
    """As the command line reads it from the API."""
    return exit_code({"type": state.type.value, "name": state.name})


def assert_evidence(report: DrillReport, expected: Reasons) -> None:
    found = {one.kind: (one.outcome, one.reason) for one in report.evidence}
    assert {kind: outcome for kind, (outcome, _) in found.items()} == {
        kind: expected.get(kind, (Outcome.PASSED, ""))[0] for kind in Kind
    }, found
    for kind, (_, reason) in expected.items():
        assert re.fullmatch(reason, found[kind][1]), (kind, found[kind][1])


def test_a_good_snapshot_is_verified(machine: ControlMachine, tmp_path: Path) -> None:
    store_harmed(machine, acts.none, tmp_path)
    state, report = machine.drill()
    assert (report.verdict, report.reason) == (Verdict.VERIFIED, "")
    assert_evidence(report, {})
    assert (state.type.value, state.name) == ("COMPLETED", "Verified")
    assert list(report.phases) == [
        "restore from the repository",
        "start the server",
        "client online",
    ]


@pytest.mark.parametrize("name", FAILURES)
def test_a_sabotaged_snapshot_fails_the_drill(
    name: str, machine: ControlMachine, tmp_path: Path
) -> None:
    sabotage = FAILURES[name]
    store_harmed(machine, sabotage.act, tmp_path)
    state, report = machine.drill()
    assert_evidence(report, sabotage.expected)
    assert (report.verdict, exit_code_of(state)) == (Verdict.FAILED, 1)
    assert (state.type.value, state.name, state.message) == ("FAILED", "Failed", report.reason)


def test_without_docker_a_drill_could_not_run(
    machine: ControlMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_harmed(machine, acts.none, tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    assert_could_not_run(machine, r"No Docker engine answers on the control machine \(.*\)\. .*")


def test_without_its_image_a_drill_could_not_run(machine: ControlMachine, tmp_path: Path) -> None:
    store_harmed(machine, acts.unknown_image, tmp_path)
    assert_could_not_run(machine, r".*headscale/headscale:0\.29\.99.*")


def test_with_a_wrong_password_a_drill_could_not_run(
    machine: ControlMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_harmed(machine, acts.none, tmp_path)
    monkeypatch.setenv(SECRET, "wrong")
    state, report = machine.drill()
    assert (report.verdict, report.evidence, report.snapshot) == (Verdict.COULD_NOT_RUN, (), None)
    assert report.reason.startswith("The password does not open the restic repository")
    assert (state.type.value, state.name, state.message) == ("FAILED", "CouldNotRun", report.reason)


def assert_could_not_run(machine: ControlMachine, reason: str) -> None:
    """The files were proved good; nothing else could be looked at, for one and the same reason."""
    state, report = machine.drill()
    unknown = (Outcome.COULD_NOT_RUN, reason)
    assert_evidence(report, {kind: unknown for kind in Kind if kind is not Kind.FILES})
    assert (report.verdict, exit_code_of(state)) == (Verdict.COULD_NOT_RUN, 3)
    assert (state.type.value, state.name, state.message) == ("FAILED", "CouldNotRun", report.reason)
