"""docs/modelling.md: its examples run and print what stands below them, and its names are right."""

from __future__ import annotations

import re

import pytest

import spikewright as sw
from pages import Page
from spikewright.engines import decoder_cache

PAGE = Page("modelling.md")


def test_its_examples_print_what_stands_below_them() -> None:
    """From top to bottom, in one session."""
    printed, _ = PAGE.run()
    assert printed == PAGE.printed


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bsw\.([A-Za-z_]+)", PAGE.text))))
def test_its_names_exist(name: str) -> None:
    """Every name that it gives can be imported."""
    assert name in sw.__all__


def test_it_names_every_variable_of_the_decoder_cache() -> None:
    """And no other."""
    known = {decoder_cache.MODE, decoder_cache.FOLDER, decoder_cache.SIZE}
    assert set(re.findall(r"SPIKEWRIGHT_\w+", PAGE.text)) == known
