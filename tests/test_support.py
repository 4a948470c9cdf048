"""docs/support.md is what the readers and lowering say."""

from __future__ import annotations

import pytest
from scripts.support import TARGET, graph_section, support

PAGE = TARGET.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    """Generated from the code: `python -m scripts.support` writes it anew."""
    assert support() == PAGE


def test_the_layers_of_the_graph_are_up_to_date() -> None:
    """The quick part of the page: every layer, with the guarantee that lowering gives it."""
    assert graph_section() in PAGE
