"""A window of the machine's browser with an explorer in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Window:
    """A window with the explorer in it, and what it said and asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda asked: self.asked.append(asked.url))
        page.on("websocket", lambda socket: self.asked.append(socket.url))

    def open(self, url: str) -> None:
        """Go there, and wait for everything."""
        self.page.goto(url)
        self.wait()

    def wait(self) -> None:
        """Wait until the latest request is answered in full."""
        self.page.wait_for_selector("body[data-state=done]", timeout=60_000)

    def until(self, holds: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for something; the page's policy keeps the browser from evaluating a text."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end
            self.page.wait_for_timeout(20)

    @property
    def step(self) -> int:
        """The step of the run that is drawn."""
        return int(self.page.get_attribute("body", "data-step"))

    def reach(self, step: int) -> None:
        """Wait until that step of the run is drawn, or a later one."""
        self.until(lambda: self.step >= step)

    def slide(self, name: str, value: int) -> None:
        """Move a slider."""
        self.page.locator(f"#{name}").evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", value
        )

    def text(self, name: str) -> str:
        """The text of a part of the page."""
        return str(self.page.inner_text(f"#{name}"))

    def pixels(self, name: str) -> str:
        """The pixels of a canvas, as a picture."""
        return str(self.page.locator(f"#{name}").evaluate("c => c.toDataURL()"))

    @property
    def spikes(self) -> int:
        """Spikes of the sample, as the page says."""
        return int(re.match(r"([\d,]+) spikes", self.text("status"))[1].replace(",", ""))


@contextmanager
def opened(browser: Any, url: str, scheme: str = "light", width: int = 1400) -> Iterator[Window]:
    """A window of that width in light or dark, with the page in it."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    found = Window(context.new_page())
    found.open(url)
    yield found
    context.close()
