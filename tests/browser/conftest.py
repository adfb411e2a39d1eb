from tests.browser.chromium import page

__all__ = ["page"]
