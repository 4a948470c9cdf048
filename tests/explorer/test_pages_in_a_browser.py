"""Both pages of the explorer in Chromium: quiet, as wide as the window, and open to everybody."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from explorers import subject
from networks import run
from windows import Window, opened

from browsers import needed
from spikewright.explorer import Explorer

pytestmark = [pytest.mark.slow, needed]


@pytest.fixture(scope="module", params=["conversion", "network"])
def explorer(request: pytest.FixtureRequest) -> Iterator[Explorer]:
    """A page, served."""
    found = Explorer(run() if request.param == "network" else subject(40))
    yield found
    found.close()


def _wanted(window: Window) -> None:
    """Show as much as the page has: the parts that are closed, and some steps of a run."""
    if window.page.locator("#apart").count():
        window.page.click("#apart summary")
        return
    window.page.select_option("#speed", "10")
    window.page.click("#play")
    window.reach(window.step + 300)
    window.page.click("#play")
    window.wait()


@pytest.mark.parametrize(
    "scheme, width", [("light", 375), ("dark", 375), ("dark", 900), ("light", 1400)]
)
def test_a_page_is_quiet_and_accessible(
    browser: Any, explorer: Explorer, scheme: str, width: int
) -> None:
    """No error on the console, no request but for its own files, nothing wider than the window.

    axe, the checker of the rules of WCAG, finds no fault: names, roles, contrast and order.
    """
    own = explorer.url.removeprefix("http")
    with opened(browser, explorer.url, scheme, width) as window:
        _wanted(window)
        wide, inside = window.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        found = Axe().run(window.page)

    assert window.said == []
    assert len(window.asked) > 4
    assert [a for a in window.asked if re.sub("^(http|ws)", "", a)[: len(own)] != own] == []
    assert wide <= inside
    checked = {rule["id"] for rule in found["passes"]}
    assert {"color-contrast", "label", "button-name", "select-name"} <= checked
    faults = {f["id"]: [node["html"] for node in f["nodes"]] for f in found["violations"]}
    assert faults == {}


def test_a_keyboard_reaches_every_control(browser: Any, explorer: Explorer) -> None:
    """Tab goes through links, buttons, sliders and choices; focus is seen, and each has a name."""
    controls = "a:visible, button:visible, input:visible, select:visible, [tabindex='0']:visible"
    reached = set()
    with opened(browser, explorer.url) as window:
        wanted = window.page.locator(controls).count()
        for _ in range(wanted):
            window.page.keyboard.press("Tab")
            place, outline, named = window.page.evaluate(
                """(() => { const e = document.activeElement; return [
                [...document.querySelectorAll("*")].indexOf(e), getComputedStyle(e).outlineStyle,
                Boolean(e.labels?.length || e.ariaLabel || e.textContent.trim())] })()"""
            )
            assert outline != "none" and named
            reached.add(place)

    assert len(reached) == wanted > 9


@contextmanager
def _notebook(cell: str) -> Iterator[str]:
    """The address of a page on this machine, of another server, with some HTML in it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>notebook</title>{cell}".encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


def test_a_notebook_shows_it_in_a_frame(browser: Any, explorer: Explorer) -> None:
    """The HTML of a cell is a frame in which the page works."""
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    with _notebook(explorer._repr_html_()) as place:
        page.goto(place)
        frame = page.frame_locator("iframe[title='Spikewright explorer']")
        frame.locator("body[data-state=done]").wait_for(timeout=60_000)
        assert frame.locator("#play").inner_text() == "Play"
        assert page.locator("iframe").bounding_box()["width"] > 900
    page.close()
