"""A person in the real UI: the form of a deployment is filled in and submitted."""

import time
from typing import Any

from playwright.sync_api import Page, expect

from deployments.embedded.api import FINAL, Api, Json

#: Milliseconds. The first page compiles the UI's scripts.
PATIENCE = 60_000


def test_a_form_submitted_in_the_browser_runs_the_same_flow(control_plane: Any, page: Page) -> None:
    api = Api(f"{control_plane.url}/api")
    deployment = api.deployment("provision/provision")
    assert deployment
    before = {run["id"] for run in api.runs()}

    page.goto(f"{control_plane.url}/deployments/deployment/{deployment['id']}/run")
    # Textboxes: the run's name, then the request's fields with the site's defaults.
    site, host = page.get_by_role("textbox").nth(1), page.get_by_role("textbox").nth(2)
    expect(site).to_have_value("cronova.dev", timeout=PATIENCE)
    host.fill("vps")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(lambda url: not url.endswith("/run"), timeout=PATIENCE)

    run = ended(api, before)
    page.goto(f"{control_plane.url}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("CouldNotRun").first).to_be_visible(timeout=PATIENCE)
    assert run["deployment_id"] == deployment["id"]
    assert run["parameters"]["request"]["site"] == "cronova.dev"
    by_command = control_plane.call("provision")[1]
    assert run["state"]["message"] == by_command["message"]


def ended(api: Api, before: set[str]) -> Json:
    """The one new run, when it is over."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        asked = [run for run in api.runs() if not run["auto_scheduled"]]
        new = [run for run in asked if run["id"] not in before]
        if new and new[0]["state_type"] in FINAL:
            assert len(new) == 1
            return new[0]
        time.sleep(0.5)
    raise AssertionError("the run did not end")
