"""A control machine of the tests' own: its site file, its repository, and drills through the flow."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State
from pydantic import SecretStr

from flows.drill import restore_drill
from infra.access.anchor import canary_state_path, save_anchor, write_private
from infra.access.restic import Origin, Repository
from infra.backup.store import ARCHIVE, site_repository, tags
from infra.model.drill import DrillReport
from infra.model.request import DrillRequest
from infra.model.site import Site
from infra.rollout import render
from infra.settings import Settings, load_settings
from tests.integration.sabotage.acts import Act
from tests.integration.sabotage.production import Production

SECRET = "MESHKEEPER_SECRET_RESTIC"
PASSWORD = "correct horse battery staple"
SITE: dict[str, Any] = {
    "domain": "drill.test",
    "hosts": {"vps": {"address": "192.0.2.7", "admin_keys": ["ssh-ed25519 AAAA test"]}},
    "stacks": {
        "headscale": {
            "host": "vps",
            "base_domain": "mesh.test",
            "users": ["alice", "bob"],
            "derp": {"maps": []},
        },
        "caddy": {"host": "vps"},
    },
    "backup": {"repository": "repository", "password": {"secret": "restic"}},
}


@dataclass
class ControlMachine:
    """One that knows the lost production, and has one snapshot in its repository."""

    settings: Settings
    production: Production
    empty: Path

    def drill(self) -> tuple[State[Any], DrillReport]:
        """One drill of the newest snapshot: how its flow ended, and what it reported."""
        state = restore_drill(DrillRequest(site="drill.test"), return_state=True)
        artifact = Artifact.get("restore-drill-json")
        assert artifact is not None
        return state, DrillReport.model_validate_json(str(artifact.data))


def control_machine(
    folder: Path, production: Production, empty: Path, environment: pytest.MonkeyPatch
) -> ControlMachine:
    """`empty`: of `empty_repository`."""
    (folder / "site.yaml").write_text(yaml.safe_dump(SITE))
    environment.setenv("MESHKEEPER_SITE", str(folder / "site.yaml"))
    environment.setenv("MESHKEEPER_STATE_DIR", str(folder / "state"))
    environment.setenv(SECRET, PASSWORD)
    settings = load_settings()
    save_anchor(settings, "drill.test", production.anchor)
    write_private(canary_state_path(settings, "drill.test"), production.canary_state)
    return ControlMachine(settings, production, empty)


def empty_repository(folder: Path) -> Path:
    """A repository to copy: making one takes seconds, by design (its key's derivation)."""
    made = Repository(str(folder / "repository"), SecretStr(PASSWORD), folder / "cache")
    made.create()
    return folder / "repository"


def store_harmed(machine: ControlMachine, act: Act, folder: Path) -> None:
    """Harm a copy of the production's newest snapshot, and store it with the real restic."""
    production = machine.production
    files, archive = folder / "files", folder / "archive"
    shutil.copytree(production.snapshot.folder, files)
    act(files, production)
    archive.mkdir()
    pack(files, archive / ARCHIVE)
    manifest = production.snapshot.manifest
    origin = Origin(
        host="drill.test",
        time=manifest.created_at,
        tags=tags("drill.test", f"snapshot={manifest.id}"),
    )
    repository = site_repository(machine.settings, Site.model_validate(SITE))
    shutil.copytree(machine.empty, repository.location)
    repository.backup(archive, origin)


def pack(files: Path, archive: Path) -> None:
    """With the sidecar's own packer: the archive's form is not what is sabotaged."""
    tree = Path(render.__file__).parents[1] / "docker/vps/networking/headscale"
    program = "import sys, pathlib, snapshot; snapshot.pack(*map(pathlib.Path, sys.argv[1:3]), 1700000000)"
    subprocess.run(
        [sys.executable, "-c", program, str(files), str(archive)], cwd=tree, check=True, timeout=60
    )
