"""A person in the real UI: the plan of a waiting run, and the answer to it."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.form import PATIENCE


def open_question(page: Page, ui: str, run_id: str) -> Locator:
    """The dialog with a waiting run's plan and form. `ui`: the address of the UI."""
    page.goto(f"{ui}/runs/flow-run/{run_id}")
    page.get_by_role("button", name="Resume").first.click(timeout=PATIENCE)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox").first).to_be_visible(timeout=PATIENCE)
    return dialog


def answer_yes(dialog: Locator, name: str) -> None:
    """By their order: the UI binds no label to its field."""
    answer, who = dialog.locator("fieldset").nth(0), dialog.locator("fieldset").nth(1)
    who.get_by_role("textbox").fill(name)
    answer.get_by_role("button").press("ArrowDown")
    dialog.page.get_by_text("yes", exact=True).click()
    dialog.get_by_role("button", name="Submit").click()
