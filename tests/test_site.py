"""The pages are one site: on a shelf of the index, for somebody, and with links that lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs import conf

from pages import DOCS

ROOT = DOCS.parent
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(DOCS / name for name in PAGES)]
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def _prose(path: Path) -> str:
    return _CODE.sub("", path.read_text(encoding="utf-8"))


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """The relative links of a page outside of code: the file that each names, and the anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(path)):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            yield (path.parent / name).resolve() if name else path, anchor


def anchors(path: Path) -> set[str]:
    """The anchors that the headings of a page have, in the repository and on the site."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def reached(start: Path) -> set[Path]:
    """All pages to which links lead from one."""
    found, new = {start}, [start]
    while new:
        for path, _ in links(new.pop()):
            if path.suffix == ".md" and path.is_relative_to(DOCS) and path not in found:
                found.add(path)
                new.append(path)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link names a file of the repository, and an anchor a heading of it."""
    lost = [
        (target.name, anchor)
        for target, anchor in links(path)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert lost == []


def test_links_are_found() -> None:
    """The test of links has something to test: with anchors, without, and outside of the docs."""
    found = [link for path in FILES for link in links(path)]
    assert len(found) > 100
    assert sum(1 for _, anchor in found if anchor) >= 3
    assert any(not path.is_relative_to(DOCS) for path, _ in found)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_first_for_whom_it_is(name: str) -> None:
    """The first sentence below the title begins with them."""
    title, _, text = (DOCS / name).read_text(encoding="utf-8").partition("\n\n")
    assert title.startswith("# ")
    assert re.match(r"For (those|everybody) ", text), text[:80]


def test_every_page_is_on_one_shelf() -> None:
    """The index links to every page, once; the tree of the site is made of these links."""
    shelved = [path.relative_to(DOCS).as_posix() for path, _ in links(DOCS / "index.md")]
    assert sorted(shelved) == sorted(set(PAGES) - {"index.md"})
    tree = conf.shelves((DOCS / "index.md").read_text(encoding="utf-8"))
    listed = re.findall(
        r"^([\w/]+)$", "".join(re.findall(r"```\{toctree\}.*?```", tree, re.S)), re.M
    )
    assert [f"{name}.md" for name in listed] == shelved


def test_the_site_shows_the_code_of_the_gallery() -> None:
    """All of every example, above its picture."""
    page = conf.with_code((DOCS / "gallery" / "README.md").read_text(encoding="utf-8"))
    for path in sorted((DOCS / "gallery").glob("*.py")):
        assert path.read_text(encoding="utf-8") in page
