"""Biases of each step, and noise: counted, or refused by name, on every chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from building import dense, given, population

import spikewright as sw
from spikewright import chips
from spikewright.graph import Graph, GraphNode
from spikewright.graph import layers as g
from spikewright.network.processes import EachStep

STEPS, NEURONS = 10, 6
PROGRAMS = [n for n in chips.names() if chips.profile(n).limits.core_bytes is not None]


def _fit(chip: Any, noise: Any = None, shape: tuple[int, ...] = (NEURONS,)) -> chips.Fit:
    """Some neurons with a process of their own; those of a vector read two inputs."""
    with sw.Network() as network:
        neurons = population(shape, label="asked")
        if len(shape) == 1:
            dense(neurons, given(2))
        neurons.noise = noise
    return chips.fits(network, chip)


def _biases(*shape: int) -> EachStep:
    """Random biases `(steps, *shape)`."""
    return EachStep(np.random.default_rng(0).normal(size=(STEPS, *shape)))


@pytest.mark.parametrize("name", chips.names())
def test_no_chip_ignores_biases_of_each_step(name: str) -> None:
    """Memory and a stated assumption where neurons are programs; else refused, with a remedy."""
    plain, biased = _fit(name), _fit(name, _biases(NEURONS))
    reasons = [b for b in biased.broken if b.layer == "asked" and f"{STEPS} steps" in b.reason]
    said = [s for s in biased.assumptions if "'asked'" in s and "each of the first steps" in s]

    assert not any("steps" in b.reason for b in plain.broken)
    assert (len(reasons), len(said)) == ((0, 1) if name in PROGRAMS else (1, 0))
    assert all("sw.BiasCorrection" in b.remedy and b.rule == "form" for b in reasons)
    if name in PROGRAMS:
        room = chips.profile(name).limits.core_bytes or 0
        bits = chips.profile(name).arithmetic.bias_bits or 32
        more = biased.layers[0].shares["core_bytes"] - plain.layers[0].shares["core_bytes"]
        assert more * room == pytest.approx(STEPS * NEURONS * bits / 8)


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_many_steps_as_a_core_has_room_for(name: str) -> None:
    """The layer takes one core with that many, and two with one more."""
    room = chips.profile(name).limits.core_bytes or 0
    weights = 2 * NEURONS * (chips.profile(name).arithmetic.weight_bits or 0) // 8
    steps = (room - weights - 4 * NEURONS) // (4 * NEURONS)
    inside, outside = (_fit(name, EachStep(np.ones((n, NEURONS)))) for n in (steps, steps + 1))
    assert (inside.layers[0].cores, outside.layers[0].cores) == (1, 2)


def test_biases_of_channels_are_stored_once() -> None:
    """A bias a channel and step takes the memory of one, however many pixels read it."""
    shares = [
        _fit("spinnaker2", noise, (4, 8, 8)).layers[0].shares["core_bytes"]
        for noise in (None, _biases(4, 1, 1), _biases(4, 8, 8))
    ]
    room = chips.profile("spinnaker2").limits.core_bytes or 0
    assert (shares[1] - shares[0]) * room == pytest.approx(4 * STEPS * 4)
    assert (shares[2] - shares[0]) * room == pytest.approx(4 * STEPS * 4 * 64)


@pytest.mark.parametrize("name", chips.names())
def test_noise_is_refused(name: str) -> None:
    """No chip is given another process: the layer and the process are named."""
    found = _fit(name, sw.processes.WhiteNoise())
    reasons = [b for b in found.broken if b.layer == "asked" and "WhiteNoise" in b.reason]
    assert len(reasons) == 1 and reasons[0].remedy == "the network without noise"


def test_a_conversion_with_corrected_steps() -> None:
    """`bias_correction=sw.StepCorrection(...)` is seen in every layer that it corrects."""
    rng = np.random.default_rng(1)
    graph = Graph(
        (
            GraphNode("x", g.Input((4,))),
            GraphNode("fc", g.Affine(rng.normal(size=(5, 4)), None), ("x",)),
            GraphNode("relu", g.Activation("relu"), ("fc",)),
        ),
        {"output": "relu"},
    )
    x = rng.random((20, 4))
    made = sw.convert(
        graph,
        spiking=True,
        scale_firing_rates=200.0,
        calibration=x,
        bias_correction=sw.StepCorrection(STEPS),
    )
    for fit in (made.fits("speck"), made.for_chip("speck").fits("speck")):
        assert [b.layer for b in fit.broken if f"{STEPS} steps" in b.reason] == ["relu"]
    assert made.fits("loihi2").fits
