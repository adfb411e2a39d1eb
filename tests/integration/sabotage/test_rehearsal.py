"""An upgrade tried for real, 0.28.0's data under 0.29.2: good, and harmed, each for its own reason."""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State

from flows.rehearsal import upgrade_rehearsal
from infra.access.anchor import canary_state_path
from infra.drill import server
from infra.drill.config import HOME
from infra.drill.containers import Recipe, create
from infra.drill.isolation import PYTHON_IMAGE
from infra.drill.world import World
from infra.model.drill import Kind, Outcome
from infra.model.rehearsal import RehearsalReport, RehearsalVerdict
from infra.model.request import RehearsalRequest
from infra.model.site import Site
from infra.model.snapshot import DATABASE
from infra.planning.upgrade import with_version
from tests.integration.sabotage import acts
from tests.integration.sabotage.bench import (
    SITE,
    ControlMachine,
    store_harmed,
)
from tests.integration.sabotage.production import Production, lost_production

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

OLD, NEW = "0.28.0", "0.29.2"


def changed(folder: Path, *statements: str) -> None:
    """Change a snapshot's database, and let its manifest agree with the file."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database, database:
        for statement in statements:
            database.execute(statement)
    acts.refresh(folder, DATABASE)


def touched_by_a_later_version(folder: Path, _production: Production) -> None:
    """As headscale itself notes it (its hscontrol/db/versioncheck.go)."""
    changed(
        folder,
        "CREATE TABLE database_versions"
        "(id integer PRIMARY KEY, version text NOT NULL, updated_at datetime)",
        "INSERT INTO database_versions VALUES (1, 'v0.30.1', '2026-11-27')",
    )


def with_a_trigger(folder: Path, _production: Production) -> None:
    """It would delete all keys in the moment in which a migration is noted as done."""
    changed(
        folder,
        "CREATE TRIGGER lossy AFTER INSERT ON migrations BEGIN DELETE FROM pre_auth_keys; END",
    )


class Sabotage(NamedTuple):
    """What is done, and what is then said of it; a kind not named here passes."""

    act: acts.Act
    expected: dict[Kind, str]


SILENT = dict.fromkeys(
    (Kind.IDENTITY, Kind.LOGIN, Kind.RUNNING_CLIENT, Kind.RELAY), "the restored server does not run"
)
STARTS_NOT = f"headscale/headscale:{NEW} does not start on this snapshot: it ended: .*"
FAILURES = {
    "a row lost since its manifest was written": Sabotage(
        acts.rows_missing,
        {
            Kind.DATA: "nodes: expected 3, found 2: 'client-b' is missing; "
            "table 'nodes': expected 3 rows, found 2 rows"
        },
    ),
    "a trigger that the migration stumbles over": Sabotage(
        with_a_trigger, {Kind.DATA: f"{STARTS_NOT}migration failed.*"} | SILENT
    ),
    "a foreign noise key": Sabotage(
        acts.foreign_key,
        {
            Kind.IDENTITY: "the restored server's key .* is not the one pinned at the first .*",
            Kind.RUNNING_CLIENT: "clients that are running would be locked out until restarted.*",
        },
    ),
    "a database that a later version has touched": Sabotage(
        touched_by_a_later_version,
        {Kind.DATA: f"{STARTS_NOT}downgrade not supported.*"} | SILENT,
    ),
    "a damaged database": Sabotage(
        acts.truncated_database,
        {
            Kind.FILES: r"db\.sqlite: expected \d+ bytes, found 20480",
            Kind.DATA: f"{STARTS_NOT}database disk image is malformed.*",
        }
        | SILENT,
    ),
}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Production:
    """That of the older version; the site file of the control machine asks for the newer."""
    site = with_version(Site.model_validate(SITE), OLD)
    return lost_production(docker.from_env(), site, tmp_path_factory.mktemp("production"))


def rehearsed(to: str = "wanted") -> State[Any]:
    state: State[Any] = upgrade_rehearsal(
        RehearsalRequest(site="drill.test", to=to), return_state=True
    )
    return state


def report() -> RehearsalReport:
    artifact = Artifact.get("upgrade-rehearsal-json")
    assert artifact is not None
    return RehearsalReport.model_validate_json(str(artifact.data))


def assert_reasons(found: RehearsalReport, expected: dict[Kind, str]) -> None:
    reasons = {one.kind: one.reason for one in found.evidence if one.outcome != Outcome.PASSED}
    assert reasons.keys() == expected.keys(), reasons
    for kind, reason in expected.items():
        assert re.fullmatch(reason, reasons[kind]), (kind, reasons[kind])


def test_a_good_snapshot_goes_from_one_minor_to_the_next(
    machine: ControlMachine, tmp_path: Path
) -> None:
    store_harmed(machine, acts.none, tmp_path)
    state, found = rehearsed(), report()
    assert_reasons(found, {})
    assert (found.verdict, found.running, found.wanted) == (RehearsalVerdict.PASSED, OLD, NEW)
    assert found.snapshot == machine.production.snapshot.manifest.id
    assert "No host key is pinned" in found.not_fresh  # this production is lost: nobody can ask it
    assert (state.type.value, state.name, state.message) == ("COMPLETED", "Passed", found.headline)


@pytest.mark.parametrize("name", FAILURES)
def test_an_upgrade_that_would_do_harm_is_refused(
    name: str, machine: ControlMachine, tmp_path: Path
) -> None:
    sabotage = FAILURES[name]
    store_harmed(machine, sabotage.act, tmp_path)
    state, found = rehearsed(), report()
    assert_reasons(found, sabotage.expected)
    assert found.verdict is RehearsalVerdict.FAILED
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert str(state.message).startswith(f"{found.headline} {found.reason}")
    assert f"write {OLD} at stacks.headscale.version" in str(state.message)


def test_a_migration_that_loses_rows_is_refused(
    machine: ControlMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No migration of 0.29 does: here a thief takes the keys between it and the proofs."""
    store_harmed(machine, acts.none, tmp_path)
    monkeypatch.setattr(server, "wait_healthy", robbed(server.wait_healthy))
    state, found = rehearsed(), report()
    lost = r"table 'pre_auth_keys': \d+ rows before the migration, 0 rows after it"
    assert_reasons(found, {Kind.DATA: lost})
    assert state.name == "Failed"


def robbed(wait_healthy: Callable[[World, str], str]) -> Callable[[World, str], str]:
    """The same wait, at whose end a container deletes the keys out of the migrated database."""
    thief = (
        "import sqlite3, sys; mesh = sqlite3.connect(sys.argv[1], isolation_level=None);"
        " mesh.execute('DELETE FROM pre_auth_keys')"
    )
    recipe = Recipe(
        image=PYTHON_IMAGE,
        entrypoint=("python3", "-c", thief, f"{HOME}/{DATABASE}"),
        volumes={server.RESTORED: HOME},
        networked=False,
    )

    def wait_and_steal(world: World, role: str) -> str:
        problem = wait_healthy(world, role)
        if role == server.RESTORED:
            container = create(world, "thief", recipe)
            container.start()
            assert container.wait()["StatusCode"] == 0, container.logs()
        return problem

    return wait_and_steal


def test_a_skipped_minor_is_refused_with_the_way(machine: ControlMachine, tmp_path: Path) -> None:
    store_harmed(machine, acts.none, tmp_path)
    state = rehearsed(to="0.30.1")
    assert state.name == "BadInput"
    assert f"{OLD} → {NEW} → 0.30.1" in str(state.message)


def test_a_version_that_can_not_be_had_tells_nothing(
    machine: ControlMachine, tmp_path: Path
) -> None:
    store_harmed(machine, acts.none, tmp_path)
    state = rehearsed(to="0.29.99")
    assert state.name == "CouldNotRun"
    assert "headscale/headscale:0.29.99 can't be pulled" in str(state.message)
    assert report().verdict is RehearsalVerdict.COULD_NOT_RUN


def test_without_a_canary_nobody_knows(machine: ControlMachine, tmp_path: Path) -> None:
    store_harmed(machine, acts.none, tmp_path)
    canary_state_path(machine.settings, "drill.test").unlink()
    state = rehearsed()
    assert state.name == "CouldNotRun"
    assert "No canary is enrolled in production" in str(state.message)


def test_without_a_snapshot_nobody_knows(machine: ControlMachine) -> None:
    state = rehearsed()
    assert state.name == "CouldNotRun"
    assert "Run `meshkeeper backup`" in str(state.message)
    assert report().snapshot is None
