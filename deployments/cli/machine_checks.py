"""What `doctor` looks at on this machine."""

import shutil
import sys

from deployments.cli.check import Check, attempt
from deployments.embedded import control_plane
from infra.access.docker import engine
from infra.errors import CouldNotRun
from infra.images.tools import restic_path
from infra.settings import Settings

GIBIBYTE = 1024**3
#: Images, caches and a drill's copy of the mesh need about this much at a time.
DISK_NEEDED = 3 * GIBIBYTE


def checks_of_machine(settings: Settings) -> list[Check]:
    """What every site needs of this machine."""
    return [
        Check("Python", ".".join(str(part) for part in sys.version_info[:3])),
        attempt("Docker", lambda: f"engine {engine().version()['Version']}"),
        attempt("restic", lambda: str(restic_path())),
        attempt("disk", lambda: _disk(settings)),
        _control_plane(settings),
    ]


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.make_state()).free
    found = f"{free / GIBIBYTE:.1f} GiB free for {settings.state}"
    if free < DISK_NEEDED:
        raise CouldNotRun(found, f"Free up space: {DISK_NEEDED // GIBIBYTE} GiB are needed.")
    return found


def _control_plane(settings: Settings) -> Check:
    status = control_plane.status(settings)
    if status.running:
        return Check("control plane", f"runs at {status.url}")
    if status.of_other_site:
        return Check(
            "control plane",
            f"runs for another site: {status.of_other_site}",
            "Give this site a MESHKEEPER_STATE_DIR and a MESHKEEPER_UI_PORT of its own.",
        )
    return Check("control plane", "does not run, so no schedule is kept", "Run 'meshkeeper up'.")
