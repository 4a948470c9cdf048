"""Random networks with loops, synapses and neurons of every kind, for engines that must agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from spikewright._base.windows import Windows
from spikewright.engines import Engine, Execution, compile_network
from spikewright.engines.grid import PRECISIONS, Precision
from spikewright.network import MaxPool
from spikewright.network.neurons import (
    LIF,
    ClippedReLU,
    Elementwise,
    LeakyReLU,
    LIFRate,
    NeuronType,
    PoissonSpiking,
    RectifiedLinear,
    RegularSpiking,
    RunningMeanSpiking,
    Sigmoid,
    Softplus,
    SpikingLeakyReLU,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse, Triangle
from spikewright.network.transforms import Chain, Dense, Reshape, Scale, Sparse, SumPool, Transform

DT = 0.001
_EXACT: tuple[NeuronType, ...] = (
    sw.IntegrateAndFire(),
    sw.IntegrateAndFire(voltage_floor=0.5, max_spikes_per_step=2),
    sw.BipolarIntegrateAndFire(),
    sw.BipolarIntegrateAndFire(max_spikes_per_step=2),
    sw.SpikingRectifiedLinear(),
    SpikingLeakyReLU(),
    RegularSpiking(RectifiedLinear(amplitude=0.5)),
    RegularSpiking(ClippedReLU(max_value=300.0)),
    RegularSpiking(LeakyReLU()),
    RunningMeanSpiking(ClippedReLU(max_value=300.0)),
    RectifiedLinear(),
    LeakyReLU(),
    ClippedReLU(max_value=200.0),
    StochasticSpiking(RectifiedLinear()),
    StochasticSpiking(LeakyReLU(amplitude=0.5)),
)
_CURVED: tuple[NeuronType, ...] = (
    LIF(),
    LIF(min_voltage=-1.0),
    LIFRate(),
    Sigmoid(),
    Tanh(),
    Softplus(),
    RunningMeanSpiking(Tanh()),
    RegularSpiking(LIFRate()),
    PoissonSpiking(LIFRate()),
    StochasticSpiking(Tanh()),
)


@dataclass
class LoopingNetwork:
    """A network, its stimulus, its populations and what is fed: `(batch, steps or 1, n)`."""

    network: sw.Network
    stimulus: sw.Node
    populations: list[sw.Ensemble]
    fed: NDArray
    runs: tuple[int, ...]
    precision: Precision = "float32"

    def run(
        self, engine: Engine, samples: slice | list[int] = slice(None), **cut: int
    ) -> list[NDArray]:
        """All recordings of several runs, one after another, then the totals of populations."""
        fed = self.fed[samples]
        program = compile_network(self.network, DT, 0, self.precision)
        execution = Execution(program, engine, len(fed), self.populations, **cut)
        parts, done = [], 0
        for steps in self.runs:
            part = fed if fed.shape[1] == 1 else fed[:, done : done + steps]
            parts.append(execution.run(steps, {self.stimulus: part}))
            done += steps
        arrays = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
        sums = [execution.summed()[p] for p in self.populations]
        return [*arrays, *(array for totals in sums for array in (totals.sent, totals.net))]


def looping_network(rng: np.random.Generator, curved: bool = False) -> LoopingNetwork:
    """A few populations, joined forwards and backwards by whatever the generator draws.

    It is in either precision.
    Without `curved` all neurons compute with additions and divisions alone.
    """
    make = _Maker(rng, curved)
    with make.network:
        make.build()
    runs = tuple(int(n) for n in rng.integers(1, 25, rng.integers(1, 4)))
    batch = int(rng.integers(1, 5))
    held = rng.random() < 0.5
    shape = (batch, 1 if held else sum(runs), *make.stimulus.shape_out)
    fed = rng.normal(0.5, 1.0, shape) * make.size_of_input
    precision = PRECISIONS[rng.integers(2)]
    return LoopingNetwork(make.network, make.stimulus, make.populations, fed, runs, precision)


class _Maker:
    def __init__(self, rng: np.random.Generator, curved: bool) -> None:
        self.rng, self.curved = rng, curved
        self.network = sw.Network(seed=0)
        self.populations: list[sw.Ensemble] = []
        # Currents: spikes have a height of 1000 at a step of 1 ms.
        self.size_of_input = 2.0 if curved else float(rng.choice([100.0, 500.0, 3000.0]))

    def build(self) -> None:
        rng = self.rng
        sizes = [int(rng.choice([1, 3, 16, 40, 70])) for _ in range(rng.integers(1, 5))]
        self.stimulus = sw.Node(np.zeros(sizes[0]), label="stimulus")
        types = _CURVED if self.curved else _EXACT
        for n in sizes:
            kind = types[rng.integers(len(types))]
            if rng.random() < 0.03:
                kind = StochasticSpiking(Elementwise.of("gelu"))  # without a kernel
            bias = rng.normal(0.5, 0.5, n) * (self.size_of_input if rng.random() < 0.7 else 0.0)
            fast = not self.curved and rng.random() < 0.1  # more spikes a step than bytes hold
            self.populations.append(
                sw.Ensemble(
                    n,
                    neuron_type=kind,
                    gain=rng.uniform(0.5, 1.5, n),
                    bias=bias,
                    rate_scale=150.0 if fast else 1.0,
                )
            )
        sw.Connection(self.stimulus, self.populations[0].neurons, self.synapse())
        for i, before in enumerate(self.populations):
            for j, after in enumerate(self.populations):
                if j > i and (j == i + 1 or rng.random() < 0.3):
                    self.connect(before, after, self.synapse())
                elif j <= i and rng.random() < 0.4:
                    self.connect(before, after, self.synapse() or Lowpass(0.003))
                elif j <= i and rng.random() < 0.15:  # a delay alone closes the loop
                    weights = self.weights(after.n_neurons, before.n_neurons)
                    delay = DT * int(rng.integers(1, 6))
                    sw.Connection(before.neurons, after.neurons, None, weights, delay=delay)
        for population in self.populations:
            self.probe(population)

    def synapse(self) -> Synapse | None:
        kinds: list[Synapse | None] = [
            None,
            Lowpass(0.0),
            Lowpass(0.005),
            Lowpass(0.05),
            Alpha(0.003),
            LinearFilter((0.001, 1.0), (0.004, 1.0)),
            LinearFilter((2.0,), (1.0,)),
            Triangle(0.012),
        ]
        return kinds[self.rng.integers(len(kinds))]

    def connect(self, before: sw.Ensemble, after: sw.Ensemble, synapse: Synapse | None) -> None:
        rng = self.rng
        pre, post = before.n_neurons, after.n_neurons
        draw = rng.random()
        if draw < 0.15:  # through a node that pools
            self.pooled(before, after, synapse)
            return
        if draw < 0.3:  # through a node of few values
            node = sw.Node(size_in=3)
            sw.Connection(before.neurons, node, synapse, self.weights(3, pre))
            sw.Connection(node, after.neurons, None, self.weights(post, 3))
            return
        if draw < 0.45 and pre == post:
            factor = rng.normal(0, 0.3) if rng.random() < 0.5 else rng.normal(0, 0.3, pre)
            sw.Connection(before.neurons, after.neurons, synapse, Scale(np.asarray(factor)))
            return
        weights = self.weights(post, pre)
        sw.Connection(before.neurons, after.neurons, synapse, weights, delay=self.delay())

    def delay(self) -> float:
        """Mostly none; else some steps."""
        return DT * int(self.rng.integers(0, 4)) if self.rng.random() < 0.3 else 0.0

    def weights(self, post: int, pre: int) -> Transform:
        rng = self.rng
        size = (0.001 if self.curved else 0.5) / np.sqrt(pre)
        if rng.random() < 0.3:
            entries = int(rng.integers(0, 3 * post))
            return Sparse(
                rng.integers(0, post, entries),
                rng.integers(0, pre, entries),
                rng.normal(0, size, entries),
                (post,),
                pre,
            )
        return Dense(rng.normal(0, size, (post, pre)))

    def pooled(self, before: sw.Ensemble, after: sw.Ensemble, synapse: Synapse | None) -> None:
        rng = self.rng
        pre, post = before.n_neurons, after.n_neurons
        windows = Windows((min(2, pre),), (1,), ((0, 0),), (1,))
        out = pre - min(2, pre) + 1
        shape = (pre, 1)
        if rng.random() < 0.5:
            node = sw.Node(size_in=(out, 1))
            sw.Connection(
                before.neurons,
                node,
                synapse,
                Chain((Reshape(shape), SumPool(windows, np.array(0.5), True))),
            )
        else:
            pool = MaxPool(windows, True, bool(rng.random() < 0.5))
            node = sw.Node(pool, size_in=shape)
            sw.Connection(before.neurons, node, synapse, Reshape(shape))
        sw.Connection(node, after.neurons, None, Chain((Reshape((out,)), self.weights(post, out))))

    def probe(self, population: sw.Ensemble) -> None:
        rng = self.rng
        sw.Probe(population.neurons)
        if rng.random() < 0.3:
            sw.Probe(population.neurons, "input")
        if rng.random() < 0.3 and population.neuron_type.has_voltage:
            sw.Probe(population.neurons, "voltage")
        if rng.random() < 0.3:
            sw.Probe(population.neurons, synapse=0.01)
