"""The index as the site has it: a tree of pages, and a card for each link of a section's list."""

from __future__ import annotations

import re

# pages that the build adds to a section; the repository does not have them
ADDED = {
    "Reference": (
        "* [Python reference](api/reference.md): every public name, its arguments and docstring\n"
        "* [Commands](api/commands.rst): every command and its options\n"
    )
}
_ITEM = re.compile(r"^\* \[([^\]]+)\]\(([\w/]+)\.(?:md|rst|ipynb)\)(?:: (.*(?:\n  .*)*))?\n", re.M)
_LIST = re.compile(rf"(?:{_ITEM.pattern})+", re.M)


def completed(page: str) -> str:
    """The index with the pages that the build adds, first in the lists of their sections."""
    for section, lines in ADDED.items():
        page = re.sub(
            rf"^(## {section}\n(?:\n[^*\n].*)*?\n+)(?=\* )", rf"\1{lines}", page, flags=re.M
        )
    return page


def trees(page: str) -> str:
    """The tree of pages: a caption for each section, and what it links to."""
    made = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        names = dict.fromkeys(re.findall(r"\]\(([\w/]+)\.(?:md|rst|ipynb)\)", section))
        caption = section.partition("\n")[0]
        made.append(
            f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{chr(10).join(names)}\n```\n"
        )
    return "\n".join(made)


def cards(page: str) -> str:
    """The index with every list of links as a grid of cards."""
    return _LIST.sub(lambda found: _grid(found[0]), page)


def _grid(items: str) -> str:
    made = []
    for title, name, text in _ITEM.findall(items):
        words = " ".join(text.split())
        words = words[:1].upper() + words[1:]
        made.append(
            f"```{{grid-item-card}} {title}\n:link: /{name}\n:link-type: doc\n\n{words}\n```\n"
        )
    return "\n".join(["````{grid} 1 2 2 3", ":gutter: 2", "", *made, "````", ""])


def site(page: str) -> str:
    """All of it."""
    whole = completed(page)
    return f"{cards(whole)}\n{trees(whole)}"
