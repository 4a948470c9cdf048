"""The demonstration's page, driven in Chromium: quiet, offline, in light and dark, at any width."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import needed
from spikewright import demo

FIGURES = 8  # of the demonstration

pytestmark = [pytest.mark.slow, needed]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that the demonstration writes."""
    return demo.write_report(demo.run(progress=False), tmp_path_factory.mktemp("demo"))


@pytest.fixture
def opened(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page in a window, with what it said and asked for in `.said` and `.asked`."""
    scheme, width = getattr(request, "param", ("light", 1400))
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, accept_downloads=True
    )
    page = context.new_page()
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(report.as_uri())
    yield page
    context.close()


VIEWS = [(scheme, width) for scheme in ("light", "dark") for width in (390, 1400)]


OUTSIDE = """svg => { const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll("text")].filter(text => {
              const t = text.getBoundingClientRect();
              return t.left < box.left - 1 || t.right > box.right + 1 || t.top < box.top - 1
                || t.bottom > box.bottom + 1; }).map(text => text.textContent) }"""
"""Texts of a drawing that stand outside of it."""
FAINT = """() => {
        const parts = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
        const light = colour => { const [r, g, b] = parts(colour).map(v => { v /= 255;
          return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b };
        const page = light(getComputedStyle(document.body).backgroundColor);
        const contrast = colour => { const l = light(colour);
          return (Math.max(l, page) + 0.05) / (Math.min(l, page) + 0.05) };
        const low = [];
        const see = (selector, property, least) => {
          for (const element of document.querySelectorAll(selector)) {
            const colour = getComputedStyle(element)[property];
            if (colour.startsWith("rgb") && contrast(colour) < least)
              low.push([selector, element.getAttribute("class"), colour]); } };
        see("svg.drawing text", "fill", 4.5);
        see("p, a, summary, th, td, dt, dd, li, caption, h1, h2, h3, footer", "color", 4.5);
        see("path.line, line.source, line.axis, line.median, line.whisker", "stroke", 3);
        see("path.mark, rect.fill", "fill", 3);
        return low; }"""
"""What stands out too little: 4.5 for texts, 3 for lines and marks (WCAG 2.2, 1.4.3, 1.4.11)."""


@pytest.mark.parametrize("opened", VIEWS, indirect=True)
def test_the_page_can_be_read_at_any_width_and_in_the_dark(opened: Any, report: Path) -> None:
    """No error, no request but for the file, nothing sideways, one drawing a figure, contrast."""
    kind = "narrow" if opened.viewport_size["width"] < 700 else "wide"
    figures = opened.locator("figure").all()
    assert len(figures) == FIGURES
    for figure in figures:
        seen = [d for d in figure.locator("svg.drawing").all() if d.is_visible()]
        assert [kind in d.get_attribute("class").split() for d in seen] == [True]
        assert seen[0].evaluate(OUTSIDE) == []
    assert opened.evaluate(FAINT) == []
    opened.mouse.wheel(0, 20_000)
    for button in opened.locator("summary").all():
        button.click()
    root = "document.documentElement"
    assert opened.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    assert opened.said == [] and opened.asked == [report.as_uri()]


def test_dark_is_dark_and_light_is_light(browser: Any, report: Path) -> None:
    """The page and its drawings follow what the reader prefers."""
    shades = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(report.as_uri())
        shades[scheme] = page.evaluate(
            """[getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector("svg.drawing text")).fill,
            getComputedStyle(document.querySelector("path.line")).stroke]"""
        )
        page.close()

    assert shades["light"][0] == "rgb(255, 255, 255)"
    assert all(a != b for a, b in zip(shades["light"], shades["dark"], strict=True))


def test_a_keyboard_reaches_every_control(opened: Any) -> None:
    """Tab goes through all links, buttons and scrolling boxes; focus is seen; Enter opens."""
    wanted = opened.locator("a:visible, summary:visible, [role=region]:visible").count()
    reached = set()
    for _ in range(wanted):
        opened.keyboard.press("Tab")
        place, outline = opened.evaluate(
            """[[...document.querySelectorAll("*")].indexOf(document.activeElement),
            getComputedStyle(document.activeElement).outlineStyle]"""
        )
        assert outline != "none"
        reached.add(place)
    assert len(reached) == wanted

    opened.locator("summary").first.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("details").first.get_attribute("open") is not None


def test_the_first_tab_skips_to_the_results(opened: Any) -> None:
    """A link that shows when it has the focus."""
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    opened.keyboard.press("Enter")
    assert opened.evaluate("location.hash") == "#results"


def test_every_csv_opens(opened: Any, tmp_path: Path) -> None:
    """Each link saves a file of its name, whose rows are as long as its header."""
    links = opened.locator("a[download]").all()

    assert len(links) == FIGURES
    for link in links:
        with opened.expect_download() as started:
            link.click()
        name = started.value.suggested_filename
        assert name == link.get_attribute("download")
        started.value.save_as(tmp_path / name)
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        assert rows and {len(row) for row in rows} == {len(header)}
    assert opened.said == []


def test_it_prints(opened: Any) -> None:
    """On paper there is a drawing of every figure, and no control."""
    opened.emulate_media(media="print")

    assert opened.locator("svg.wide:visible").count() == FIGURES
    assert opened.locator("nav:visible, a[download]:visible, summary:visible").count() == 0
    assert opened.pdf(format="A4").startswith(b"%PDF")
