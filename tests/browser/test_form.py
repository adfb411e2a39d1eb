"""A form submitted in the browser is the same flow as the command, also in how it fails."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.form import PATIENCE, open_form, submit


def test_a_form_submitted_in_the_browser_runs_the_same_flow(control_plane: Any, page: Page) -> None:
    boxes = open_form(page, control_plane.url, "provision/provision")
    expect(boxes.nth(1)).to_have_value("cronova.dev")
    boxes.nth(2).fill("vps")
    run = submit(page, control_plane.url)

    page.goto(f"{control_plane.url}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("CouldNotRun").first).to_be_visible(timeout=PATIENCE)
    assert run["parameters"]["request"] == {"site": "cronova.dev", "host": "vps"}
    by_command = control_plane.call("provision")[1]
    assert run["state"]["message"] == by_command["message"]
