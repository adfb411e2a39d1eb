"""What meshkeeper is measured against: the same work by ssh, scp and restic alone."""

import shlex
import subprocess
import tempfile
from pathlib import Path

from infra.access.login import Login, admin_login
from infra.images.tools import restic_path
from infra.model.site import Site
from infra.settings import Settings

#: What paramiko agrees on with OpenSSH 10, so that both pay for the same key exchange.
KEY_EXCHANGE = "curve25519-sha256@libssh.org"
SNAPSHOT = (
    "import sqlite3; source = sqlite3.connect('{data}/db.sqlite'); "
    "source.backup(sqlite3.connect('/tmp/bench.sqlite'))"
)


class Bare:
    """The host of a site's headscale, by OpenSSH's own clients."""

    def __init__(self, settings: Settings, site: Site) -> None:
        self._login = admin_login(settings, site, site.stacks.headscale.host)
        home = f"/home/{self._login.user}/docker/vps/networking/headscale"
        self._snapshot = SNAPSHOT.format(data=f"{home}/data")

    def login(self) -> None:
        """`ssh HOST true`."""
        _run(["ssh", *self._options("-p"), self._place(self._login), "true"])

    def backup(self) -> None:
        """`.backup` on the host, `scp`, `restic backup`."""
        command = (
            f"sudo python3 -c {shlex.quote(self._snapshot)} && sudo chmod 644 /tmp/bench.sqlite"
        )
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "db.sqlite"
            _run(["ssh", *self._options("-p"), self._place(self._login), command])
            _run(
                [
                    "scp",
                    "-q",
                    *self._options("-P"),
                    f"{self._place(self._login)}:/tmp/bench.sqlite",
                    str(copy),
                ]
            )
            _run([*self._restic(), "backup", "--quiet", str(copy)])

    def prepare(self, folder: Path) -> None:
        """A restic repository of its own, which both the password and the data leave again."""
        self._repository = folder / "repository"
        (folder / "password").write_text("only for a benchmark")
        self._password = folder / "password"
        self._cache = folder / "cache"
        _run([*self._restic(), "init", "--quiet"])

    def _restic(self) -> list[str]:
        return [
            str(restic_path()), "--repo", str(self._repository),
            "--password-file", str(self._password), "--cache-dir", str(self._cache),
        ]  # fmt: skip

    def _options(self, port: str) -> list[str]:
        login = self._login
        settings = {
            "UserKnownHostsFile": login.known_hosts,
            "StrictHostKeyChecking": "yes",
            "KexAlgorithms": KEY_EXCHANGE,
            "BatchMode": "yes",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        key = ["-i", str(login.key_file)] if login.key_file else []
        return [port, str(login.port), *key, *options]

    def _place(self, login: Login) -> str:
        return f"{login.user}@{login.address}"


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
