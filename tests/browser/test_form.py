"""A person in the real UI: the form of a deployment is filled in and submitted."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from deployments.embedded.api import Api

#: Milliseconds. The first page compiles the UI's scripts.
PATIENCE = 60_000


def test_a_form_submitted_in_the_browser_runs_the_same_flow(control_plane: Any, page: Page) -> None:
    api = Api(f"{control_plane.url}/api")
    deployment = api.deployment("provision/provision")
    assert deployment
    before = {run["id"] for run in api.runs()}

    page.goto(f"{control_plane.url}/deployments/deployment/{deployment['id']}/run")
    expect(page.get_by_text("cronova.dev").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name=re.compile("^(Submit|Run)$")).click()
    page.wait_for_url("**/runs/flow-run/**", timeout=PATIENCE)
    expect(page.get_by_text("CouldNotRun").first).to_be_visible(timeout=PATIENCE)

    (run,) = [run for run in api.runs() if run["id"] not in before]
    assert run["deployment_id"] == deployment["id"]
    assert run["parameters"]["request"]["site"] == "cronova.dev"
    by_command = control_plane.call("provision")[1]
    assert run["state"]["message"] == by_command["message"]
