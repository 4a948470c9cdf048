"""The pages are one site: on a shelf of the index, for somebody, and with links that lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from docs import conf

from pages import DOCS, NAMES, NOTEBOOKS, prose

ROOT = DOCS.parent
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


EXTERNAL = [
    (path, target)
    for path in (*FILES, ROOT / "CHANGELOG.md", *(DOCS / name for name in NOTEBOOKS))
    for target in re.findall(r"\]\((\w[\w+.-]*:[^)\s]*)\)", _without_code(path))
]


def well_formed(target: str) -> bool:
    """Whether a link leads to a page of another site: by https, to a host, without a stray end."""
    found = urlsplit(target)
    host = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", found.netloc)
    return found.scheme == "https" and host is not None and target[-1] not in ".,;:'\"`"


def test_links_to_other_sites_are_well_formed() -> None:
    """Nothing is asked of the network: a link is read as a browser would read it."""
    assert len(EXTERNAL) >= 5
    assert [(path.name, target) for path, target in EXTERNAL if not well_formed(target)] == []


@pytest.mark.parametrize(
    "target",
    [
        "http://numpy.org", "https://numpy", "https://me@numpy.org", "https://numpy.org/doc.",
        "https:/numpy.org", "file:///etc/hosts", "javascript:x()", "https://Numpy.org:80",
    ],
)  # fmt: skip
def test_a_link_to_nowhere_is_found(target: str) -> None:
    """The test above would see one."""
    assert not well_formed(target)
    assert well_formed("https://numpy.org/doc/stable/")


def test_links_to_pages_of_this_project_are_relative() -> None:
    """An absolute one would lead to another version, and its anchor would not be looked at."""
    own = re.compile(r"spikewright", re.IGNORECASE)
    assert [(path.name, target) for path, target in EXTERNAL if own.search(target)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_first_for_whom_it_is(name: str) -> None:
    """The first sentence below the title begins with them."""
    title, _, text = (DOCS / name).read_text(encoding="utf-8").partition("\n\n")
    assert title.startswith("# ")
    assert re.match(r"For (those|everybody) ", text), text[:80]


def test_every_page_is_on_one_shelf() -> None:
    """The index links to every page, once; the tree of the site is made of these links."""
    whole = [path for path, anchor in links(DOCS / "index.md") if not anchor]
    shelved = [path.relative_to(DOCS).as_posix() for path in whole]
    assert sorted(shelved) == sorted({*NAMES, *NOTEBOOKS} - {"index.md"})
    tree = conf.shelves((DOCS / "index.md").read_text(encoding="utf-8"))
    listed = re.findall(
        r"^([\w/]+)$", "".join(re.findall(r"```\{toctree\}.*?```", tree, re.S)), re.M
    )
    assert listed == [name.rpartition(".")[0] for name in shelved]


QUESTIONS = {
    "Why is my accuracy 10 %?": {"verification.md", "diagnosis.md"},
    "Which rule?": {"calibration.md"},
    "How many steps?": {"few_steps.md"},
    "What does convergent mean?": {"glossary.md", "guarantees.md"},
    "Can I use my own layer?": {"own_layers.md"},
    "How do I get it onto Loihi?": {"chips.md", "nir.md"},
    "How do I cite it?": set(),
    "Does it run on a GPU?": {"benchmarks.md"},
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_within_two_clicks(question: str) -> None:
    """The index names it and leads to its answer, which leads to the page that has more."""
    (anchor,) = anchors_of(f"## {question}")
    assert (DOCS / "faq.md", anchor) in set(links(DOCS / "index.md"))
    page = (DOCS / "faq.md").read_text(encoding="utf-8")
    _, _, answer = page.partition(f"\n## {question}\n")
    answer = answer.partition("\n## ")[0]
    assert answer.strip()
    assert QUESTIONS[question] <= set(re.findall(r"\]\(([\w.]+)", answer))


def test_the_site_shows_the_code_of_the_gallery() -> None:
    """All of every example, above its picture."""
    page = conf.with_code((DOCS / "gallery" / "README.md").read_text(encoding="utf-8"))
    for path in sorted((DOCS / "gallery").glob("*.py")):
        assert path.read_text(encoding="utf-8") in page
