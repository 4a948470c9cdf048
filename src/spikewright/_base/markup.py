"""Markup as trees, which escape whatever is put into them when they are written.

`RichRepr` gives results their form in notebooks: a sentence, a small table, and a figure.
"""

from __future__ import annotations

import base64
import io
import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from spikewright._base.formatting import format_table
from spikewright.errors import printable

Markup = ElementTree.Element
STYLE = Path(__file__).with_name("page.css")
"""The style sheet that all pages begin with: their colours, light and dark."""
Child = Any
"""A text, a number, an element, None (nothing), or an iterable of these."""

# what no HTML text may hold: control characters, halves of surrogate pairs, non-characters
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# these turn the text around them
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """A text with a mark in the place of every character that a page cannot or must not hold."""
    return _DIRECTION.sub("\ufffd", _FORBIDDEN.sub("\ufffd", text))


def el(tag: str, *children: Child, **attributes: Any) -> Markup:
    """An element; attributes that are None are left out, `class_` is class, `_` is `-`."""
    found = ElementTree.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            found.set(name.rstrip("_").replace("_", "-"), clean(str(value)))
    add(found, *children)
    return found


def add(element: Markup, *children: Child) -> Markup:
    """Append children to an element; returns it."""
    for child in _flat(children):
        if isinstance(child, ElementTree.Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + clean(str(child))
        else:
            element.text = (element.text or "") + clean(str(child))
    return element


def _flat(children: Iterable[Child]) -> Iterable[Child]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, str | int | float | ElementTree.Element):
            yield child
        else:
            yield from _flat(child)


def fragment(root: Markup) -> str:
    """A part of a document; texts and attributes are escaped here, and nowhere else."""
    return ElementTree.tostring(root, encoding="unicode", method="html")


def html(root: Markup) -> str:
    """A document."""
    return f"<!doctype html>\n{fragment(root)}"


Rows = Sequence[Sequence[str]]
"""Rows of one length as text; the first one has the headings."""

_MOST = 30
_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?(%|[a-zA-Zµ]{1,3}))?")


class RichRepr:
    """A result that prints as a sentence and a table, and that notebooks show as HTML.

    There its figure follows the table, if it has one and matplotlib is installed.
    """

    @abstractmethod
    def _summary(self) -> tuple[str, Rows]:
        """A sentence about the result, and the rows of its table, headings first."""

    def __str__(self) -> str:
        """The sentence and the table."""
        sentence, rows = self._summary()
        return "\n\n".join([printable(sentence), *([format_table(rows)] if len(rows) > 1 else [])])

    def __repr__(self) -> str:
        return printable(f"<{type(self).__name__}: {self._summary()[0]}>")

    def _figure(self) -> Any:
        """A `matplotlib.figure.Figure` of it; None where there is nothing to draw."""
        return None

    def _repr_html_(self) -> str:
        sentence, rows = self._summary()
        left = len(rows) - 1 - _MOST
        more = el("p", f"and {left:,} more: print it for all") if left > 0 else None
        table = _table(rows) if len(rows) > 1 else None
        figure = self._figure() if find_spec("matplotlib") else None
        image = None if figure is None else _image(figure)
        return fragment(el("div", el("p", sentence), table, more, image))


def _table(rows: Rows) -> Markup:
    """The first rows as a table."""
    headings, *body = rows
    return el(
        "table",
        el("thead", el("tr", (_cell("th", heading) for heading in headings))),
        el("tbody", (el("tr", (_cell("td", text) for text in row)) for row in body[:_MOST])),
    )


def _image(figure: Any) -> Markup:
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
