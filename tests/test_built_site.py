"""The site as Sphinx builds it: without warnings, and with links that lead somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from docs import conf
from scripts.pages import DOCS

import browsers

pytestmark = pytest.mark.slow
links, reference = conf.links, conf.reference


CHECKED = ("index", "start", "few_steps", "sequences", "api/reference", "api/commands")
WINDOWS = (("light", 1300), ("dark", 375))


class Found(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for key, value in attributes:
            if value and key in ("href", "src"):
                self.links.append(value)
            if value and key in ("id", "name"):
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Found]:
    """Every page of the site, with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-qW", str(DOCS), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert built.returncode == 0, built.stderr
    pages = {}
    for path in folder.rglob("*.html"):
        pages[path] = Found()
        pages[path].feed(path.read_text(encoding="utf-8"))
    return pages


def inner(page: Path, found: Found) -> Iterator[tuple[str, Path, str]]:
    """Links to files of the site: as written, the file, and the anchor."""
    for link in found.links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            yield link, target, unquote(parts.fragment)


def test_links_within_the_site_lead_somewhere(site: dict[Path, Found]) -> None:
    """To a file that is there, and to an anchor that its page has."""
    lost, checked = [], 0
    for page, found in site.items():
        for link, target, anchor in inner(page, found):
            checked += 1
            there = target.exists()
            if not there or (anchor and target in site and anchor not in site[target].anchors):
                lost.append((page.name, link))
    assert lost == []
    assert checked > 5000


def test_every_public_name_is_on_the_site(site: dict[Path, Found]) -> None:
    """With its signature and docstring, at an anchor of its full name."""
    anchors = {path.stem: found.anchors for path, found in site.items() if "api" in path.parts}
    missing = [
        name
        for topic, names in reference.topics().items()
        for name in names
        if not {reference.full_name(name), f"module-{reference.full_name(name)}"}
        & anchors[reference.slug(topic)]
    ]
    assert missing == []


@browsers.needed
def test_axe_finds_no_fault(site: dict[Path, Found]) -> None:
    """On pages of every kind, in light on a wide screen, in dark on a phone."""
    axe_core = pytest.importorskip("axe_core_python.sync_playwright")
    axe = axe_core.Axe()
    folder = next(path.parent for path in site if path.name == "index.html")
    with browsers.opened() as browser:
        for name in CHECKED:
            for scheme, width in WINDOWS:
                page = browser.new_page(
                    viewport={"width": width, "height": 900}, color_scheme=scheme
                )
                page.goto((folder / f"{name}.html").as_uri())
                found = axe.run(page)["violations"]
                assert [fault["id"] for fault in found] == [], (name, scheme, width)
                wider = "document.documentElement.scrollWidth - window.innerWidth"
                assert page.evaluate(wider) <= 0, (name, scheme, width)
                page.close()
