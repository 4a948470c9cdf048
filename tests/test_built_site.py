"""The site as Sphinx builds it: without warnings, and with links that lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from docs import conf

from pages import DOCS

pytestmark = pytest.mark.slow
links, reference = conf.links, conf.reference


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


def test_a_class_shows_its_arguments(site: dict[Path, Found]) -> None:
    """Behind its name, with their defaults."""
    (page,) = (path for path in site if path.parts[-2:] == ("api", "neuron_types.html"))
    text = re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))
    assert re.search(r"class spikewright\.LIF\(\s*tau_rc: float \| \w+[^=]* = 0\.02", text)


def test_an_inventory_lists_what_the_site_mentions(site: dict[Path, Found]) -> None:
    """A page leads to each of its addresses, from text or from a signature."""
    linked = {link for found in site.values() for link in found.links}
    for project in sorted((DOCS / "inventories").glob("*.txt")):
        address, places = links.inventory(project.stem)
        unused = {name for name, (_, place) in places.items() if address + place not in linked}
        assert unused == set(), project.name


LEADS = {
    "training.html": "api/conversion.html#spikewright.Conversion.train",
    "from_pytorch.html": (
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module"
    ),
    "from_nengo.html": "https://www.nengo.ai/nengo/frontend-api.html#nengo.Ensemble",
    "from_nengo_dl.html": "https://numpy.org/doc/stable/reference/generated/numpy.tile.html#numpy.tile",
    "keras.html": "https://keras.io/api/ops/",
    "reference.html": "api/conversion.html#spikewright.Conversion.run",
}


@pytest.mark.parametrize("name", LEADS)
def test_names_in_code_lead_to_their_documentation(site: dict[Path, Found], name: str) -> None:
    """Of this package, of PyTorch, Nengo and NumPy, and of Keras."""
    (page,) = (path for path in site if path.parent.name.startswith("site") and path.name == name)
    assert LEADS[name] in site[page].links
