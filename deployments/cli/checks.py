"""What `doctor` looks at."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from deployments.embedded import control_plane
from infra.access.docker import engine
from infra.backup.store import site_repository
from infra.errors import CouldNotRun, MeshkeeperError
from infra.host.provision import Target, way_in
from infra.images.tools import restic_path
from infra.model.site import Site
from infra.settings import Settings, read_secret

GIBIBYTE = 1024**3
#: Images, caches and a drill's copy of the mesh need about this much at a time.
DISK_NEEDED = 3 * GIBIBYTE


class Check(NamedTuple):
    """One thing that the flows need: what was found, and what to do where it is not right."""

    name: str
    found: str
    todo: str = ""

    @property
    def ok(self) -> bool:
        return not self.todo


def checks_of_machine(settings: Settings) -> list[Check]:
    """What every site needs of this machine."""
    return [
        Check("Python", ".".join(str(part) for part in sys.version_info[:3])),
        _attempt("Docker", lambda: f"engine {engine().version()['Version']}"),
        _attempt("restic", lambda: str(restic_path())),
        _attempt("disk", lambda: _disk(settings)),
        _control_plane(settings),
    ]


def checks_of_site(settings: Settings, site: Site) -> list[Check]:
    """What this site needs: secrets, a key, and its hosts in reach."""
    secret = site.backup.password
    return [
        _attempt(f"secret {secret.secret}", lambda: _present(settings, site)),
        _attempt("repository", lambda: str(site_repository(settings, site))),
        _ssh_key(settings),
        *(_host(Target(settings, site, host)) for host in site.hosts),
    ]


def _attempt(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, look())
    except MeshkeeperError as error:
        return Check(name, error.message, error.hint or "See the message.")


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
    return Check("control plane", "does not run, so no schedule is kept", "Run 'meshkeeper up'.")


def _present(settings: Settings, site: Site) -> str:
    read_secret(settings, site.backup.password)
    return "is there, and only you can read it"


def _ssh_key(settings: Settings) -> Check:
    if settings.ssh_key is None:
        found = sorted(Path("~/.ssh").expanduser().glob("id_*"))
        defaults = [key.name for key in found if key.suffix != ".pub"]
        offered = [*(["your agent's"] if os.environ.get("SSH_AUTH_SOCK") else []), *defaults]
        todo = "Make one with ssh-keygen, or name one in MESHKEEPER_SSH_KEY."
        return Check("SSH key", ", ".join(offered) or "there is none", "" if offered else todo)
    path = settings.ssh_key.expanduser()
    if not path.is_file():
        todo = "Make one with ssh-keygen, or set MESHKEEPER_SSH_KEY to another."
        return Check("SSH key", f"{path} is no file", todo)
    if path.stat().st_mode & 0o077:
        return Check("SSH key", f"others can read {path}", f"Run: chmod 600 {path}")
    return Check("SSH key", str(path))


def _host(target: Target) -> Check:
    return _attempt(f"host {target.host}", lambda: _logged_in(target))


def _logged_in(target: Target) -> str:
    with way_in(target) as session:
        session.check("looking whether it answers", "true")
        user = session.login.user
    news = "" if user == target.admin.user else f"; only {user} can log in: not provisioned yet"
    return f"{target.admin.address} answers, with the pinned host key{news}"
