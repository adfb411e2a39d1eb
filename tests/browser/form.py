"""A person in the real UI: a deployment's form, submitted, and the run that it started."""

import time

from playwright.sync_api import Locator, Page, expect

from deployments.embedded.api import FINAL, Api, Json

#: Milliseconds. The first page compiles the UI's scripts.
PATIENCE = 60_000


def open_form(page: Page, ui: str, deployment: str) -> Locator:
    """The text boxes of a deployment's (`flow/deployment`) form: the run's name, then its request's.

    `ui`: the address of the UI.
    """
    found = Api(f"{ui}/api").deployment(deployment)
    assert found
    page.goto(f"{ui}/deployments/deployment/{found['id']}/run")
    boxes = page.get_by_role("textbox")
    expect(boxes.nth(1)).not_to_have_value("", timeout=PATIENCE)
    return boxes


def submit(page: Page, ui: str) -> Json:
    """Submit the open form; the one new run, when it is over."""
    api = Api(f"{ui}/api")
    before = {run["id"] for run in api.runs()}
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(lambda url: not url.endswith("/run"), timeout=PATIENCE)
    return _ended(api, before)


def _ended(api: Api, before: set[str]) -> Json:
    deadline = time.monotonic() + 2 * PATIENCE / 1000
    while time.monotonic() < deadline:
        asked = [run for run in api.runs() if not run["auto_scheduled"]]
        new = [run for run in asked if run["id"] not in before]
        if new and new[0]["state_type"] in FINAL:
            assert len(new) == 1
            return new[0]
        time.sleep(0.5)
    raise AssertionError("the run did not end")
