"""One sample, step by step."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from spikewright import demo
from spikewright.conversion import watch


@pytest.fixture(scope="module")
def spiking() -> sw.Conversion:
    """The shipped network in spikes."""
    return sw.convert(demo.MODEL, spiking=True, scale_firing_rates=10)


def test_a_sample_is_the_run_of_it(spiking: sw.Conversion) -> None:
    """Spikes add up to the run's, answers end at its mean readout, in the same layers."""
    x, _ = demo.held_out(1)
    run = spiking.run(x, steps=24, progress=False)
    found = watch(spiking, x, 24)
    ((name, answers),) = found.answers.items()

    assert list(found.counts) == list(spiking.populations())
    for layer, totals in run.spike_counts().items():
        assert found.counts[layer].shape == (24, *spiking.populations()[layer].shape)
        assert found.counts[layer].sum() == totals[0]
    np.testing.assert_allclose(answers[-1], run.predict("mean")[0], rtol=1e-6)
    assert answers.shape == (24, 10) and found.source[name].shape == (10,)


def test_spikes_that_are_taken_back_count_below_zero() -> None:
    """Counts are net: neurons that take spikes back show it."""
    choice = {"relu": sw.BipolarIntegrateAndFire()}
    found = watch(
        sw.convert(demo.MODEL, spiking=choice, scale_firing_rates=20), demo.held_out(1)[0], 12
    )

    assert any((counts < 0).any() for counts in found.counts.values())
    assert all((np.cumsum(counts, axis=0) >= 0).all() for counts in found.counts.values())
