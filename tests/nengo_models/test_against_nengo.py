"""Nengo itself beside Spikewright, where it is installed (the project does not install it)."""

from __future__ import annotations

import pytest

pytest.importorskip("nengo.exceptions", reason="Nengo is not installed: pip install 'nengo>=4.1'")

import nengo
import numpy as np
from benchmarks.nengo_models import CHAOTIC, MODELS, compare
from nengo_cases import SEED, Fill, cases

import spikewright as sw
from pages import Page

CASES = dict(cases())


@pytest.mark.parametrize("name", MODELS)
def test_models_are_the_same_spike_by_spike(name: str) -> None:
    """Counts of spikes within one at every step, outputs within a thousandth of the radius."""
    found = compare(name, 0.3)

    assert found.spikes > 100
    assert found.counts <= 1
    assert found.outputs <= 1e-3
    assert found.apart is None or name in CHAOTIC


@pytest.mark.parametrize("from_built", [False, True], ids=["drawn", "built"])
@pytest.mark.parametrize("fill", CASES.values(), ids=CASES)
def test_everything_that_nengo_says_is_the_same(fill: Fill, from_built: bool) -> None:
    """Every recording, to rounding, whether parameters are drawn from seeds or taken."""
    with nengo.Network(seed=SEED) as model:
        probes = fill()
    with nengo.Simulator(model, progress_bar=False) as theirs:
        theirs.run(0.2)
    built = theirs if from_built else None
    with sw.NengoSimulator(
        model, built=built, precision="float64", progress_bar=False
    ) as simulator:
        simulator.run(0.2)

    for probe in probes:
        expected = theirs.data[probe]
        largest = np.abs(expected).max()
        np.testing.assert_allclose(simulator.data[probe], expected, rtol=0, atol=1e-8 * largest)


def test_the_pages_examples_run() -> None:
    """docs/nengo.md, from top to bottom."""
    _, names = Page("nengo.md").run()

    assert names["sim"].closed
    assert isinstance(names["network"], sw.Network)
