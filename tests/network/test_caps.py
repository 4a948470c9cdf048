"""Laws of caps on spikes a step, and of means, for every neuron type that is registered."""

from __future__ import annotations

import numpy as np
import pytest
from driving import drive
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright.errors import NetworkError
from spikewright.network.neurons import NEURON_TYPES, NUMPY_NEURONS
from spikewright.testing.modelling import NeuronExample, neuron_type_examples, sent_of

SPIKING = [e for e in neuron_type_examples() if e.neuron_type.spiking]
every_spiking = pytest.mark.parametrize("example", SPIKING, ids=lambda e: e.id)
STEPS = 2 ** np.arange(5, 12)


def _counts(example: NeuronExample, neuron_type: sw.NeuronType, currents: NDArray) -> NDArray:
    driven = drive(neuron_type, currents, dt=example.dt, scale=example.scale, start="half")
    assert driven.counts is not None
    return driven.counts


def _sent(example: NeuronExample, neuron_type: sw.NeuronType, currents: NDArray) -> NDArray:
    """Spikes of either sign, without those that receivers take as sent: `(steps, ...)`."""
    return sent_of(neuron_type, _counts(example, neuron_type, currents))


@every_spiking
def test_no_type_sends_more_than_it_says(example: NeuronExample) -> None:
    """`most_spikes` bounds the spikes of either sign in every step."""
    counts = _sent(example, example.neuron_type, 50 * example.currents(60, 40))
    most = example.neuron_type.most_spikes

    assert np.abs(counts).max() >= 1
    assert most is None or np.abs(counts).max() <= most


@pytest.mark.parametrize(("example", "most"), in_turn(SPIKING, [1, 3]))
def test_a_capped_type_obeys_or_says_that_it_cannot(example: NeuronExample, most: int) -> None:
    """`capped` gives the same type with a bound that holds; or an error that names the type."""
    neuron_type = example.neuron_type
    try:
        capped = neuron_type.capped(most)
    except NetworkError as error:
        assert str(error).startswith(type(neuron_type).__name__)
        assert neuron_type.most_spikes is None
        return
    counts = _sent(example, capped, 50 * example.currents(60, 40))

    assert type(capped) is type(neuron_type)
    assert capped.most_spikes is not None and 1 <= capped.most_spikes <= most
    assert 1 <= np.abs(counts).max() <= most


def test_every_type_that_follows_the_mean_can_be_capped() -> None:
    """What conversion chooses by itself runs on hardware with one spike a step."""
    following = {type(e.neuron_type) for e in SPIKING if e.neuron_type.rate_consistent}

    assert len(following) >= 4
    for example in SPIKING:
        if type(example.neuron_type) in following:
            assert example.neuron_type.capped(1).most_spikes == 1


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "1"])
def test_impossible_caps_are_refused(cap: object) -> None:
    """A cap is a whole number above zero."""
    for make in (
        lambda: sw.SignedIntegrateAndFire(max_spikes_per_step=cap),  # type: ignore[arg-type]
        lambda: sw.RunningMeanSpiking(sw.Tanh(), max_spikes_per_step=cap),  # type: ignore[arg-type]
        lambda: sw.IntegrateAndFire().capped(cap),  # type: ignore[arg-type]
    ):
        with pytest.raises(NetworkError, match="max_spikes_per_step must be a whole number"):
            make()


@pytest.mark.parametrize(
    "neuron_type",
    [
        sw.IntegrateAndFire(),
        sw.BipolarIntegrateAndFire(),
        sw.SignedIntegrateAndFire(),
        sw.RunningMeanSpiking(sw.LeakyReLU(0.25)),
        sw.RunningMeanSpiking(sw.Elementwise("gelu")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("most", [1, 2])
def test_what_a_cap_holds_back_waits(neuron_type: sw.NeuronType, most: int) -> None:
    """After a burst that is above the cap, what was sent comes to what it is without a cap."""
    rng = np.random.default_rng(4)
    currents = np.concatenate([rng.integers(-40, 60, (12, 50)), rng.integers(0, 2, (600, 50))]) / 8
    free, bound = (
        drive(t, currents, dt=0.5).counts for t in (neuron_type, neuron_type.capped(most))
    )
    assert free is not None and bound is not None

    assert np.abs(free[:12]).max() > most
    assert np.any(free[:12].sum(axis=0) != bound[:12].sum(axis=0))
    apart = np.abs(free.sum(axis=0) - bound.sum(axis=0))
    assert apart.max() <= (0 if neuron_type.negative else 1)


# What follows the mean


def _bursts(n: int, seed: int = 0) -> NDArray:
    """Currents `(steps, n)`: mostly weak, now and then a burst of either sign, in random order."""
    rng = np.random.default_rng(seed)
    steps = int(STEPS[-1])
    rare = rng.random((steps, n)) < 0.1
    return np.where(rare, rng.normal(0, 8, (steps, n)), rng.normal(0, 0.2, (steps, n))) + (
        rng.uniform(-1.5, 2.0, n)
    )


def _gaps(example: NeuronExample) -> NDArray:
    """How far the mean of what is sent is from the response to the mean current, over time."""
    neuron_type = example.neuron_type
    currents = _bursts(60)
    output = drive(neuron_type, currents, dt=0.05, scale=20.0, start="half").output
    gaps = []
    for t in STEPS:
        mean = currents[:t].mean(axis=0)
        wanted = neuron_type.amplitude * neuron_type.rates(NUMPY_NEURONS, mean)
        gaps.append(float(np.abs(output[:t].mean(axis=0) - wanted).mean()))
    return np.array(gaps)


MEAN = [  # whose scale is not their own, without a cap, which is left out of account
    e
    for e in SPIKING
    if e.neuron_type.scaling in ("gain", "integrator")
    and not e.neuron_type.guarded
    and e.neuron_type.most_spikes is None
]


@pytest.mark.parametrize("example", MEAN, ids=lambda e: e.id)
def test_what_a_type_says_of_means_is_so(example: NeuronExample) -> None:
    """`rate_consistent`: the gap falls with the steps, however current arrives; else it stays."""
    gaps = _gaps(example)

    if example.neuron_type.rate_consistent:
        assert gaps[-1] < 0.05 and gaps[-1] < gaps[0] / 8, gaps
    else:
        assert gaps[-1] > 0.05, gaps


@pytest.mark.parametrize("example", MEAN, ids=lambda e: e.id)
def test_what_a_type_says_of_sums_is_so(example: NeuronExample) -> None:
    """`order_independent`: currents of one sum send the same in the end, rising, falling or even.

    Counts are compared to one spike, since sums round. Types that draw their spikes never say so.
    """
    kind, currents = example.neuron_type, np.sort(_bursts(60)[:200], axis=0)
    even = np.broadcast_to(currents.mean(axis=0), currents.shape)
    ways = [
        drive(kind, way, dt=0.05, scale=20.0, start="half").counts
        for way in (currents, currents[::-1], even)
    ]
    sent = np.array([counts.sum(axis=0) for counts in ways if counts is not None])
    assert len(sent) == len(ways)
    assert (np.ptp(sent, axis=0).max() <= 1) == kind.order_independent


def test_both_sorts_of_types_are_looked_at() -> None:
    """The law above is no empty one."""
    looked_at = [e.neuron_type.rate_consistent for e in MEAN]
    sums = [e.neuron_type.order_independent for e in MEAN]
    assert sums.count(True) >= 3 and sums.count(False) >= 3

    assert looked_at.count(True) >= 8 and looked_at.count(False) >= 5
    assert {type(e.neuron_type) for e in SPIKING} == {t for t in NEURON_TYPES.values() if t.spiking}
