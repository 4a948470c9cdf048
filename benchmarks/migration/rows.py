"""Rows of the tables of a page, and the checks that hold them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from scripts.pages import DOCS

PAGES = ("from_pytorch.md", "from_nengo_dl.md", "nengo.md")
_HEADS = {"there", "library", "NengoDL", "keras-spiking", "Nengo"}
"""First cells of the heads of tables that translate; others, such as measurements, have none."""

Check = Callable[[], str]
CHECKS: dict[tuple[str, str], RowCheck] = {}


class NotTriedError(Exception):
    """A check cannot be made here, though its modules are installed."""


@dataclass(frozen=True)
class RowCheck:
    """A check of a row: it says what it found, or raises `AssertionError`.

    `needs` are the modules that it imports.
    """

    function: Check
    needs: tuple[str, ...]


def row(page: str, first: str, *needs: str) -> Callable[[Check], Check]:
    """Decorator: the check of the row with this first cell, with the modules that it needs."""

    def registered(function: Check) -> Check:
        assert (page, first) not in CHECKS, f"two checks of {first} in {page}"
        CHECKS[page, first] = RowCheck(function, needs)
        return function

    return registered


def rows(page: str) -> dict[str, str]:
    """First cells of a page's tables that translate, with the second ones, in order."""
    found: dict[str, str] = {}
    translating = False
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            translating = False
        elif not translating:
            translating = cells[0] in _HEADS
        elif set(cells[0]) - set("-: "):
            found[cells[0]] = cells[1]
    return found
