"""The pages are one site: on a shelf of the index, for somebody, and with links that lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from docs import conf
from scripts.pages import DOCS, NAMES, NOTEBOOKS, by_hand, prose

ROOT, DECISIONS = DOCS.parent, DOCS / "decisions"
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(DOCS / name for name in NAMES)]


def _without_code(path: Path) -> str:
    return re.sub(r"`[^`\n]*`", "", prose(path.read_text(encoding="utf-8")))


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """The relative links of a page outside of code: the file that each names, and the anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(path)):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            yield (path.parent / name).resolve() if name else path, anchor


def anchors(path: Path) -> set[str]:
    """The anchors that the headings of a page have, in the repository and on the site."""
    return anchors_of(path.read_text(encoding="utf-8"))


def anchors_of(text: str) -> set[str]:
    """The same, of a page's text."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def test_links_lead_somewhere() -> None:
    """A relative link names a file of the repository, and an anchor a heading of it."""
    lost = [
        (path.name, target.name, anchor)
        for path in FILES
        for target, anchor in links(path)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert lost == []


def test_every_page_is_on_one_shelf() -> None:
    """The index links to every page, once; the tree of the site is made of these links. Decisions
    have an index of their own."""
    found = links(DOCS / "index.md")
    whole = [path for path, anchor in found if not anchor and path.suffix != ".png"]
    shelved = [path.relative_to(DOCS).as_posix() for path in whole]
    decided = [path for path, _ in links(DECISIONS / "README.md") if path.parent == DECISIONS]
    pages = [*shelved, *(path.relative_to(DOCS).as_posix() for path in decided)]
    assert sorted(pages) == sorted({*NAMES, *NOTEBOOKS} - {"index.md"})
    tree = conf.index.trees((DOCS / "index.md").read_text(encoding="utf-8"))
    listed = re.findall(
        r"^([\w/]+)$", "".join(re.findall(r"```\{toctree\}.*?```", tree, re.S)), re.M
    )
    assert listed == [name.rpartition(".")[0] for name in shelved]


def test_every_link_of_the_index_is_a_card() -> None:
    """On the site; the pages that a build adds are among them."""
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    made = conf.index.site(page)
    cards = re.findall(r"^:link: /([\w/]+)$", made, re.MULTILINE)
    shelved = [path.relative_to(DOCS).as_posix() for path, _ in links(DOCS / "index.md")]

    assert not re.search(r"^\* \[", made, re.MULTILINE)
    assert [f"api/{name}" in cards for name in ("reference", "commands")] == [True, True]
    assert {name.rpartition(".")[0] for name in shelved if name[-4:] != ".png"} <= set(cards)


def test_the_pages_stay_few_and_short() -> None:
    """Without what commands write: somebody has to read, keep and correct the rest."""
    lines = by_hand()
    assert len(lines) <= 32
    assert sum(lines.values()) <= 4500
    assert lines["architecture.md"] <= 200
