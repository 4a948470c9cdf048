"""Few channels: neighbouring pixels are lanes side by side, and all numbers are the reference's.

Whether they were is told by the kernels, slab by slab.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from engines.random_networks import DT
from engines.test_native_tile_rows import ALWAYS, ISAS, PADDED, native, recorded
from slowly import in_turn
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import NeuronType
from spikewright.network.transforms import Convolution, Scale

KINDS: dict[str, NeuronType] = {
    "one spike": sw.IntegrateAndFire(max_spikes_per_step=1),
    "two spikes, held above a floor": sw.IntegrateAndFire(max_spikes_per_step=2, voltage_floor=0.5),
    "any number": sw.IntegrateAndFire(),
    "taken back, one": sw.BipolarIntegrateAndFire(max_spikes_per_step=1),
    "taken back, three": sw.BipolarIntegrateAndFire(max_spikes_per_step=3),
    "taken back, any number": sw.BipolarIntegrateAndFire(),
}


def residual(
    kind: NeuronType, channels: int, own: bool = False, width: int = 12
) -> tuple[sw.Network, NDArray]:
    """A layer and a shortcut between two populations whose channels differ in all parameters, and
    currents for the first; `own`: each neuron of the second has a bias of its own.
    """
    rng = np.random.default_rng([channels, width, own])
    shape = (channels, 5, width)

    def per_channel(low: float, high: float) -> NDArray:
        return rng.uniform(low, high, (channels, 1, 1))

    def population(bias: NDArray) -> sw.Ensemble:
        return sw.Ensemble(
            shape,
            None,
            neuron_type=kind,
            gain=per_channel(0.5, 1.5),
            bias=bias,
            rate_scale=per_channel(0.5, 2.0),
            initial_voltage=rng.uniform(0.0, 1.0, shape) if own else "half",
        )

    weights = rng.normal(0.05, 1.5, (channels, channels, 3, 3)) / np.sqrt(9 * channels)
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(shape))
        a = population(per_channel(-0.1, 0.2))
        b = population(rng.normal(0.0, 0.5, shape) if own else per_channel(-0.1, 0.2))
        sw.Connection(stimulus, a.neurons, synapse=None)
        sw.Connection(
            a.neurons, b.neurons, transform=Convolution(weights, padding=PADDED), synapse=None
        )
        sw.Connection(a.neurons, b.neurons, transform=Scale(per_channel(0.1, 0.9)), synapse=None)
        sw.Probe(b.neurons)
    return net, rng.normal(2.0, 8.0, (3, 1, *shape))


@pytest.mark.parametrize(("kind", "channels"), in_turn(KINDS, [16, 32]))
def test_pixels_side_by_side_are_the_references(kind: str, channels: int) -> None:
    """With parameters and heights of channels, a shortcut, and totals in bytes or wider, on every
    instruction set, also where threads begin between two neighbours.
    """
    net, fed = residual(KINDS[kind], channels)
    for runs in ([4], [3, 2]):
        expected, _ = recorded(ReferenceEngine(), net, fed, runs)
        assert all(x.any() and not x.all() for x in expected)
        for isa, threads in [*((isa, 1) for isa in ISAS), (ISAS[-1], 5)]:
            found, (_, dense, rows, together) = recorded(
                native(ALWAYS, isa, threads), net, fed, runs
            )
            assert_same(found, expected)
            assert dense == rows == together > 0


@pytest.mark.parametrize("kind", ["one spike", "taken back, one"])
def test_pixels_with_parameters_of_their_own_or_in_odd_lines_stay_apart(kind: str) -> None:
    """Biases of each neuron, and lines that are no whole number of neighbours."""
    cases: list[dict[str, Any]] = [{"own": True}, {"width": 10}]
    for case in cases:
        net, fed = residual(KINDS[kind], 16, **case)
        expected, _ = recorded(ReferenceEngine(), net, fed, [4])
        found, (_, _, rows, together) = recorded(native(ALWAYS), net, fed, [4])
        assert_same(found, expected)
        assert rows and not together


def test_voltages_of_their_own_do_not_keep_pixels_apart() -> None:
    """State is a neuron's anyway."""
    net, fed = residual(KINDS["one spike"], 16)
    rng = np.random.default_rng(1)
    for population in net.all_ensembles:
        population.initial_voltage = rng.uniform(0.0, 1.0, population.shape) / DT
    expected, _ = recorded(ReferenceEngine(), net, fed, [4])
    found, (_, _, rows, together) = recorded(native(ALWAYS), net, fed, [4])
    assert_same(found, expected)
    assert rows == together > 0
