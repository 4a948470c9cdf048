"""Results as notebooks show them: a sentence, a small table, and a picture where there is one."""

from __future__ import annotations

import base64
import io
import re
from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from spikewright._base.markup import Markup, el, fragment

Rows = Sequence[Sequence[str]]
"""Rows of one length as text; the first one has the headings."""

_MOST = 30
_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?(%|[a-zA-Zµ]{1,3}))?")


class Shown:
    """A result that a notebook shows as a table, of the rows that its text is made of.

    Below the table stands its picture, where it has one and matplotlib is installed.
    """

    @abstractmethod
    def _told(self) -> tuple[str, Rows]:
        """A sentence about it, and its rows."""

    def _drawn(self) -> Any:
        """A `matplotlib.figure.Figure` of it; None where there is nothing to draw."""
        return None

    def _repr_html_(self) -> str:
        sentence, rows = self._told()
        left = len(rows) - 1 - _MOST
        more = el("p", f"and {left:,} more: print it for all") if left > 0 else None
        table = _table(rows) if len(rows) > 1 else None
        figure = self._drawn() if find_spec("matplotlib") else None
        picture = None if figure is None else _picture(figure)
        return fragment(el("div", el("p", sentence), table, more, picture))


def _table(rows: Rows) -> Markup:
    """The first rows as a table."""
    headings, *body = rows
    return el(
        "table",
        el("thead", el("tr", (_cell("th", heading) for heading in headings))),
        el("tbody", (el("tr", (_cell("td", text) for text in row)) for row in body[:_MOST])),
    )


def _picture(figure: Any) -> Markup:
    """A figure as an image that is part of the text."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=72)
    data = base64.b64encode(stream.getvalue()).decode()
    return el(
        "img",
        src=f"data:image/png;base64,{data}",
        alt="the same as a picture",
        style="max-width: 100%",
    )


def _cell(tag: str, text: str) -> Markup:
    side = "right" if _NUMBER.fullmatch(text) else "left"
    return el(tag, text, style=f"text-align: {side}; padding: 0.1em 0.7em")
