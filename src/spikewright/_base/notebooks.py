"""Results as notebooks show them: a sentence, and a small table below it."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence

from spikewright._base.markup import Markup, el, fragment

Rows = Sequence[Sequence[str]]
"""Rows of one length as text; the first one has the headings."""

_MOST = 30
_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?(%|[a-zA-Zµ]{1,3}))?")


class Shown:
    """A result that a notebook shows as a table, of the rows that its text is made of."""

    @abstractmethod
    def _told(self) -> tuple[str, Rows]:
        """A sentence about it, and its rows."""

    def _repr_html_(self) -> str:
        sentence, rows = self._told()
        left = len(rows) - 1 - _MOST
        more = el("p", f"and {left:,} more: print it for all") if left > 0 else None
        return fragment(el("div", el("p", sentence), _table(rows) if len(rows) > 1 else None, more))


def _table(rows: Rows) -> Markup:
    """The first rows as a table."""
    headings, *body = rows
    return el(
        "table",
        el("thead", el("tr", (_cell("th", heading) for heading in headings))),
        el("tbody", (el("tr", (_cell("td", text) for text in row)) for row in body[:_MOST])),
    )


def _cell(tag: str, text: str) -> Markup:
    side = "right" if _NUMBER.fullmatch(text) else "left"
    return el(tag, text, style=f"text-align: {side}; padding: 0.1em 0.7em")
