"""Pictures of the UI for docs/images: `python -m tests.browser.screenshots http://127.0.0.1:4200`.

Wants a control plane in which a drill has ended. With `approval` behind the address it pictures a
rollout that waits for its yes, with `failed` the last one that was put back; it wants such a one.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page

from deployments.embedded.api import FINAL, Api
from tests.browser.approval import open_question
from tests.browser.chromium import browser_page

IMAGES = Path(__file__).parents[2] / "docs" / "images"
#: Milliseconds until charts and fonts are drawn.
SETTLE = 4_000
#: Pixels of a run's page down to its timeline's end; its log begins below, with paths of a machine.
TIMELINE = 505


def pages(url: str) -> dict[str, str]:
    """Address by name of picture."""
    drill = run_and_report(url, "restore-drill/weekly", FINAL, "drill")
    if not drill:
        sys.exit("No drill has ended in this control plane: run 'meshkeeper drill' first.")
    return {"deployments": f"{url}/deployments", "runs": f"{url}/runs", **drill}


def failed_pages(url: str) -> dict[str, str]:
    """Of the last rollout that was put back: its steps, and its report."""
    failed = run_and_report(url, "rollout/rollout", ("FAILED",), "rolled-back")
    if not failed:
        sys.exit("No rollout of this control plane was put back.")
    return failed


def run_and_report(url: str, name: str, states: Sequence[str], picture: str) -> dict[str, str]:
    """Of the deployment's run that ended last in one of these states; empty where none has."""
    api = Api(f"{url}/api")
    deployment = api.deployment(name)
    ended = api.last_ended(deployment["id"], states) if deployment else []
    if not ended:
        return {}
    run = ended[0]["id"]
    (report,) = [a for a in api.artifacts(run) if a["type"] == "markdown"]
    return {
        picture: f"{url}/runs/flow-run/{run}",
        f"{picture}-report": f"{url}/artifacts/artifact/{report['id']}",
    }


def shoot(page: Page, address: str, target: Path) -> None:
    page.goto(address)
    page.wait_for_timeout(SETTLE)
    size = page.viewport_size or {"width": 1400, "height": 1500}
    height = TIMELINE if target.stem == "rolled-back" else size["height"]
    page.screenshot(path=target, clip={"x": 0, "y": 0, "width": size["width"], "height": height})


def shoot_approval(page: Page, url: str) -> None:
    """The plan and the form that its approver sees."""
    waiting = Api(f"{url}/api").waiting()
    if not waiting:
        sys.exit(
            "No rollout waits in this control plane: start one in the UI, where it has changes."
        )
    open_question(page, url, waiting[0]["id"])
    page.wait_for_timeout(SETTLE)
    page.screenshot(path=IMAGES / "approval.png")


def main(url: str, what: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with browser_page(height=1000 if what == "approval" else 1500) as page:
        if what == "approval":
            shoot_approval(page, url)
            return
        for name, address in (failed_pages(url) if what == "failed" else pages(url)).items():
            shoot(page, address, IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1], *sys.argv[2:3] or ["drill"])
