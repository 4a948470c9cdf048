"""A small network with a bit of everything, for tests of results that every engine shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.network import Connection, Ensemble, MaxPool, Network, Node, Probe
from spikewright.network.neurons import (
    LIF,
    BipolarIntegrateAndFire,
    IntegrateAndFire,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
    Sigmoid,
    SpikingLeakyReLU,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.shapes import Shape
from spikewright.network.synapses import Alpha
from spikewright.network.transforms import Convolution, Reshape


class MixedNetwork:
    """Convolution, pooling, dense layers, views, synapses, a loop, and several neuron types.

    `stimulus` takes `(3, 8, 8)`; `activity` maps each ensemble to a probe of its spikes or rates.
    """

    dt = 0.002

    def __init__(self) -> None:
        self._rng = np.random.default_rng(11)
        self._height: dict[Probe, float] = {}
        self.activity: dict[Ensemble, Probe] = {}
        with Network(seed=0) as self.network:
            self.stimulus = Node(np.zeros((3, 8, 8)))
            maps = self._convolutional()
            features = self._dense(maps)
            self._loop(features)

    def feed(self, batch: int, steps: int) -> NDArray:
        """Random images `(batch, steps, 3, 8, 8)`, of both signs."""
        rng = np.random.default_rng(12)
        held = rng.normal(0.5, 1.0, (batch, 1, 3, 8, 8))
        return held + rng.normal(0.0, 0.3, (batch, steps, 3, 8, 8))

    def quantum(self, probe: Probe) -> float:
        """The height of one spike, or the effect of a moved spike, in a probe's unit."""
        return self._height[probe]

    def _ensemble(
        self, shape: int | Shape, neuron_type: NeuronType, scale: float = 1.0, bias: float = 0.0
    ) -> Ensemble:
        ensemble = Ensemble(shape, neuron_type=neuron_type, gain=1.0, bias=bias, rate_scale=scale)
        probe = Probe(ensemble.neurons, "spike_count" if neuron_type.spiking else "output")
        self.activity[ensemble] = probe
        self._height[probe] = 1.0
        return ensemble

    def _weights(self, *shape: int) -> NDArray:
        return self._rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))

    def _convolutional(self) -> Node:
        """Analog input, convolved into spikes, pooled by the maximum of their sums."""
        kernel = self._weights(6, 3, 3, 3)
        convolution = Convolution(kernel, (1, 1), ((0, 0), (0, 0)), (1, 1))
        maps = self._ensemble((6, 6, 6), IntegrateAndFire(), 100.0)
        Connection(self.stimulus, maps.neurons, None, convolution)
        windows = Windows((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
        pooled = Node(MaxPool(windows, accumulate=True), size_in=(6, 6, 6))
        Connection(maps.neurons, pooled, None)
        self._height[Probe(pooled)] = 2 * 5.0
        flat = Node(size_in=54)
        Connection(pooled, flat, None, Reshape((54,)))
        return flat

    def _dense(self, flat: Node) -> Ensemble:
        features = self._ensemble(24, SpikingLeakyReLU(0.5), 60.0)
        Connection(flat, features.neurons, 0.01, self._weights(24, 54))
        curved = self._ensemble(12, RunningMeanSpiking(Tanh(1.0)), 200.0)
        Connection(features.neurons[::2], curved.neurons, Alpha(0.004), 0.2)
        rates = self._ensemble(10, Sigmoid(1.0))
        Connection(flat, rates.neurons, 0.02, self._weights(10, 54))
        bipolar = self._ensemble(7, BipolarIntegrateAndFire(max_spikes_per_step=1), 40.0)
        Connection(features.neurons, bipolar.neurons, None, self._weights(7, 24))
        random = self._ensemble(9, StochasticSpiking(RectifiedLinear()), 50.0, bias=1.5)
        Connection(rates.neurons[[3, 1, 4, 1, 5, 9, 2, 6, 5]], random.neurons, None)
        return features

    def _loop(self, features: Ensemble) -> None:
        leaky = self._ensemble(8, LIF(), bias=1.2)
        Connection(features.neurons[8:16], leaky.neurons, 0.03, 0.1)
        Connection(leaky.neurons, leaky.neurons, 0.03, self._weights(8, 8) / 200.0)
        self._height[Probe(leaky.neurons, "voltage", synapse=0.05)] = 1.0
