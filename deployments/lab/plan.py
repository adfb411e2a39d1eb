"""Where a lab lies: its prefix, its addresses, its directory. Two of them run side by side."""

from pathlib import Path

from pydantic import Field

from infra.model.base import Model
from infra.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

#: Networks and the third number of their addresses.
NETWORKS = {"internet": 0, "home-a": 1, "home-b": 2, "elsewhere": 3}
#: Last numbers on the lab's internet; the engine itself is .1 everywhere.
PLACES = {"dns": 2, "acme": 3, "derp": 4, "derpmap": 5, "vps": 10}
#: Who lives in which network, behind a router of its own.
HOMES = {"client-a": "home-a", "client-b": "home-b", "observer": "elsewhere"}


class LabPlan(Model):
    """One lab. Everything it makes in Docker is called `<prefix>-…`."""

    prefix: str
    subnet: str = Field(description="First two numbers of all its addresses: `10.77`.")
    ui_port: int
    directory: Path
    domain: str = "cronova.test"

    def name(self, part: str) -> str:
        return f"{self.prefix}-{part}"

    def address(self, network: str, number: int) -> str:
        return f"{self.subnet}.{NETWORKS[network]}.{number}"

    def place(self, part: str) -> str:
        """The IPv4 address of a part on the lab's internet."""
        return self.address("internet", PLACES[part])

    @property
    def site_file(self) -> Path:
        return self.directory / "site.yaml"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def ssh_key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def backup_ssh_key(self) -> Path:
        return self.directory / "backup_ed25519"

    @property
    def settings(self) -> Settings:
        """As `meshkeeper.env` states them; known also when that file is gone."""
        return Settings(
            site=self.site_file,
            state_dir=self.state,
            ssh_key=self.ssh_key,
            backup_ssh_key=self.backup_ssh_key,
            ui_port=self.ui_port,
        )

    @property
    def roots(self) -> Path:
        """PEM bundle: all that the lab's machines trust besides their own system's roots."""
        return self.directory / "roots.pem"


LAB = LabPlan(prefix="mk-lab", subnet="10.77", ui_port=4277, directory=ROOT / "build/lab")
TESTS = LabPlan(prefix="mk-test", subnet="10.78", ui_port=4278, directory=ROOT / "build/test-lab")
#: For the tests that need no mesh, beside the one for those that do.
TWIN = LabPlan(prefix="mk-twin", subnet="10.79", ui_port=4279, directory=ROOT / "build/twin-lab")
#: For the test of a mesh that begins with an older headscale.
OLDER = LabPlan(prefix="mk-older", subnet="10.80", ui_port=4280, directory=ROOT / "build/older-lab")
PLANS = {plan.prefix: plan for plan in (LAB, TESTS, TWIN, OLDER)}
