"""The source's values, from a conversion with any arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import spikewright as sw
from spikewright import demo
from spikewright.running.protocols import as_source
from spikewright.study.search.samples import Running, samples_of

X = load_digits().images[:40, None].astype(np.float32)
CHANGES: dict[str, dict[str, Any]] = {
    "synapse": {"synapse": 0.005},
    "start": {"initial_voltage": sw.VoltageCorrection(4), "calibration": X},
    "bias": {"bias_correction": sw.BiasCorrection(4), "calibration": X},
    "cap": {"max_spikes_per_step": 1},
    "weights": {"weights": sw.Quantised(bits=2)},
    "rule": {"scale_firing_rates": sw.Percentile(99), "calibration": X},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=list(CHANGES))
def test_the_source_is_the_model_whatever_the_conversion(changes: dict[str, Any]) -> None:
    """Its outputs are those of the model's rates: neither spikes nor bits of weights change it."""
    conversion = sw.convert(demo.MODEL, spiking=True, **changes)
    model = sw.convert(demo.MODEL)
    found, wanted = (c.run(X, steps=1, progress=False).raw for c in (as_source(conversion), model))

    assert list(found) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_search_compares_with_the_model_not_with_its_weights_of_few_bits() -> None:
    """A drop holds what rounding weights costs: the source's scores are those of the model."""
    y = load_digits().target[:40]
    few = sw.convert(demo.MODEL, spiking=True, weights=sw.Quantised(bits=2))
    found, wanted = (
        samples_of(c, X, y, Running(), "the data") for c in (few, sw.convert(demo.MODEL))
    )
    np.testing.assert_array_equal(found.margins, wanted.margins)
    np.testing.assert_array_equal(found.scores, wanted.scores)
