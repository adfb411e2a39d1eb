"""The main job's last step, started by a person in the UI: the same drill, the same verdict."""

import json

from playwright.sync_api import Page, expect

from deployments.embedded.api import Api
from deployments.lab.boot import Lab
from deployments.lab.command import meshkeeper
from infra.model.drill import DrillReport
from tests.browser.form import PATIENCE, open_form, submit


def test_a_drill_asked_for_in_the_browser_ends_like_one_by_command(
    backed_up: Lab, page: Page
) -> None:
    mesh = backed_up
    by_command = DrillReport.model_validate(meshkeeper(mesh.plan, "drill")["report"])
    ui = mesh.settings.prefect_api_url.removesuffix("/api")

    open_form(page, ui, "restore-drill/weekly")
    run = submit(page, ui)

    assert run["state"]["name"] == "Verified"
    assert run["parameters"]["request"]["site"] == mesh.site.name
    shown, told = Api(f"{ui}/api").artifacts(run["id"])
    by_form = DrillReport.model_validate(json.loads(told["data"]))
    assert by_form.snapshot == by_command.snapshot
    assert [(e.kind, e.outcome) for e in by_form.evidence] == [
        (e.kind, e.outcome) for e in by_command.evidence
    ]
    page.goto(f"{ui}/artifacts/artifact/{shown['id']}")
    expect(page.get_by_text(str(by_form.snapshot)).first).to_be_visible(timeout=PATIENCE)
