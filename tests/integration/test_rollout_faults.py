"""Rollouts that die, are cut off, find no room, or lose their host: people see the old or the new.

Requests from the observer and traffic between two clients are counted during all of it.
"""

import signal
from pathlib import Path

from deployments.lab.boot import Lab
from deployments.lab.command import meshkeeper
from deployments.lab.witnesses import device, requests
from tests.integration.dying import rollout
from tests.integration.rolling import keys_on_host, roll_out, with_memory


def test_a_rollout_killed_after_any_step_is_finished_by_the_next_and_nobody_notices(
    mesh: Lab, tmp_path: Path
) -> None:
    """The steps are those that a rollout of the same change goes through undisturbed."""
    log, keys = tmp_path / "steps", keys_on_host(mesh)
    site_file, before = mesh.plan.site_file, mesh.plan.site_file.read_text()
    try:
        with_memory(mesh, 240)
        assert rollout(site_file, log) == 0
        steps = log.read_text().split()
        assert {"write_files", "start", "gate_on_host", "gate_outside", "finish"} <= set(steps)
        with requests(mesh, f"{mesh.site.server_url}/health") as asked, device(mesh) as client:
            for number in range(1, len(steps)):
                with_memory(mesh, 240 + number)
                assert rollout(site_file, log, number) == -signal.SIGKILL
                assert log.read_text().split() == steps[:number]
                assert rollout(site_file, log) == 0, log.read_text()
        assert asked.failed == {}
        assert set(client.states) == {"Running"}
        assert keys_on_host(mesh) == keys
        assert not meshkeeper(mesh.plan, "plan")["changes"]
    finally:
        site_file.write_text(before)
        roll_out(mesh)
