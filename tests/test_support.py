"""docs/support.md is what the readers and lowering say."""

from __future__ import annotations

import re

import pytest
from scripts.support import FRONT_ENDS, TARGET, FrontEnd, graph_section, shown, support

PAGE = TARGET.read_text(encoding="utf-8")


def _section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    """Generated from the code: `python -m scripts.support` writes it anew."""
    assert support() == PAGE


def test_the_layers_of_the_graph_are_up_to_date() -> None:
    """The quick part of the page: every layer, with the guarantee that lowering gives it."""
    assert graph_section() in PAGE


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=lambda front_end: front_end.title)
def test_every_operator_with_a_reader_is_on_the_page(front_end: FrontEnd) -> None:
    """The registry and the table name the same operators, each with a guarantee."""
    read, refused = _section(front_end.title).split("\nRefused, ")
    guarantee = "exact after L steps|exact or convergent|exact|convergent|refused"
    rows = re.findall(rf"^\| ([\w.]+) \| ({guarantee}) \|", read, re.MULTILINE)

    assert sorted(name for name, _ in rows) == sorted({shown(n) for n in front_end.names()})
    assert refused.count("\n| ") > 5
