"""The machine's own browser, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
_FOUND = next(filter(None, map(shutil.which, _NAMES)), None)

needed = pytest.mark.skipif(
    _FOUND is None, reason=f"no browser on this machine: {', '.join(_NAMES)}"
)
"""The mark of a test that needs it."""


@contextmanager
def opened() -> Iterator[Any]:
    """The browser, through Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_FOUND, args=_FLAGS)
        yield browser
        browser.close()
