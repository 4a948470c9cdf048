"""Markup as trees, which escape whatever is put into them when they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
