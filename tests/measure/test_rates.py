"""The firing rate of every neuron."""

from __future__ import annotations

import numpy as np

import spikewright as sw
from spikewright import demo
from spikewright.measure import Evaluation, neuron_rates
from spikewright.records import select


def test_rates_of_neurons_average_to_those_of_layers() -> None:
    """From a run and from an evaluation, in Hz, whatever the number of samples and steps."""
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=10)
    x, y = demo.held_out(12)
    run = conversion.run(x, steps=16, dt=0.002, progress=False)
    found = conversion.evaluate(x, y, 16, 0.002, at=[4], operations=False, progress=False)
    rates = neuron_rates(run)

    for layer, values in rates.items():
        (record,) = select(found.records, "firing rate", layer=layer, steps=16)
        assert values.shape == conversion.populations()[layer].shape
        assert np.isclose(values.mean(), record.value)
        np.testing.assert_allclose(neuron_rates(found)[layer], values)


def test_rate_networks_and_loaded_evaluations_have_none() -> None:
    """Nothing spikes, or nothing is known of single neurons."""
    run = sw.convert(demo.MODEL).run(demo.held_out(2)[0], steps=2, progress=False)

    assert neuron_rates(run) == {}
    assert neuron_rates(Evaluation((), {"samples": 1, "steps": 1, "dt": 1.0})) == {}
