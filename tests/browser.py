"""A real headless browser for tests of pages: the machine's own chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

EXECUTABLE = next(
    (b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None
)
# Nothing but this machine can be reached: a page must bring what it needs.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"


@contextmanager
def opened(width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Open a fresh browser with one empty page of this size."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=EXECUTABLE, args=[OFFLINE])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def errors(page: Page) -> list[str]:
    """Return what went wrong on the page: exceptions, and what its console calls an error."""
    said = [message.text for message in page.console_messages() if message.type == "error"]
    return [*map(str, page.page_errors()), *said]
