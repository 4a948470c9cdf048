"""Examples in docstrings of engines, as they run."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

import spikewright as sw
from spikewright.engines import compile_network
from spikewright.engines.native.regions import with_regions

MODULES = ("spike_scaling", "native.regions", "native.region_builder")


@pytest.mark.parametrize("name", MODULES)
def test_an_example_shows_a_network_going_in_and_what_comes_out(name: str) -> None:
    """Each of these files opens with an example, and the example holds."""
    module = importlib.import_module(f"spikewright.engines.{name}")
    known = {
        "sw": sw,
        "np": np,
        "compile_network": compile_network,
        "with_regions": with_regions,
    }
    example = doctest.DocTestFinder(recurse=False).find(module, name, extraglobs=known)[0]
    results = doctest.DocTestRunner().run(example)
    assert results.attempted >= 3
    assert results.failed == 0
