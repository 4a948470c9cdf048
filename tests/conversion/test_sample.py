"""One sample, step by step."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from spikewright import demo
from spikewright.conversion import watch
from spikewright.errors import SimulationError


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


def test_means_tend_to_the_activations(spiking: sw.Conversion) -> None:
    """What a layer sends on average is the source's activation, the closer the longer."""
    x, _ = demo.held_out(1)

    def errors(steps: int) -> list[float]:
        found = watch(spiking, x, steps)
        return [
            float(np.abs(found.means[n] - a).mean() / np.abs(a).mean())
            for n, a in found.activations.items()
        ]

    assert all(late < 0.3 * early for early, late in zip(errors(8), errors(128), strict=True))


def test_spikes_that_are_taken_back_count_below_zero() -> None:
    """Counts are net: neurons that take spikes back show it."""
    choice = {"relu": sw.BipolarIntegrateAndFire()}
    found = watch(
        sw.convert(demo.MODEL, spiking=choice, scale_firing_rates=20), demo.held_out(1)[0], 12
    )

    assert any((counts < 0).any() for counts in found.counts.values())
    assert all((np.cumsum(counts, axis=0) >= 0).all() for counts in found.counts.values())


def test_nothing_is_left_in_the_network(spiking: sw.Conversion) -> None:
    """Watching adds no probe to the network that is watched."""
    before = list(spiking.network.probes)
    watch(spiking, demo.held_out(1)[0], 2)

    assert list(spiking.network.probes) == before


@pytest.mark.parametrize("samples", [0, 2])
def test_one_sample_is_one(spiking: sw.Conversion, samples: int) -> None:
    """Any other number is refused."""
    with pytest.raises(SimulationError, match=r"takes one sample.*got 2|holds no samples"):
        watch(spiking, np.zeros((samples, 1, 8, 8)), 4)


def test_input_over_time_is_refused(spiking: sw.Conversion) -> None:
    """The source's activations are those of one value."""
    with pytest.raises(SimulationError, match=r"must be \(batch, 1, 8, 8\), held constant, got"):
        watch(spiking, np.zeros((1, 4, 1, 8, 8)), 4)


@pytest.mark.parametrize("steps", [0, 1.5, None])
def test_a_run_has_steps(spiking: sw.Conversion, steps: object) -> None:
    """A whole number from 1."""
    with pytest.raises(SimulationError, match="give a number of steps from 1"):
        watch(spiking, demo.held_out(1)[0], steps)  # type: ignore[arg-type]
