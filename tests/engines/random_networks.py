"""Random networks of spiking neurons, for engines that must agree spike by spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from spikewright._base.windows import Windows
from spikewright.engines import Engine, Execution, Program, compile_network
from spikewright.engines.grid import PRECISIONS, Precision
from spikewright.network import MaxPool, NeuronsView
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    Elementwise,
    NeuronType,
    ParametricReLU,
    PoissonSpiking,
    RunningMeanSpiking,
    SignedIntegrateAndFire,
    SpikingLeakyReLU,
    StochasticSpiking,
)
from spikewright.network.node_functions import LogSoftmax
from spikewright.network.transforms import (
    AxisMap,
    Chain,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Shape,
    Slice,
    SumPool,
    Take,
    Transform,
)

DT = 0.125


def fixed_point(
    rng: np.random.Generator, shape: Shape, last: bool
) -> sw.FixedPointIntegrateAndFire:
    """Neurons in whole numbers for a population of `shape`, with any bounds."""
    each = [1] * len(shape)
    each[-1 if last else 0] = shape[-1 if last else 0]
    size: Shape = ((), tuple(each), shape)[rng.integers(3)]
    most = float(rng.choice([3, 60, 5000, 2**20, 2**32]))

    def any_of(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    return sw.FixedPointIntegrateAndFire(
        np.floor(rng.uniform(1, most, size)),
        amplitude=any_of(1.0, 1.0, 0.3),
        voltage_floor=any_of(None, None, 0.0, 1.0, 0.7),
        max_spikes_per_step=any_of(None, None, 1, 2, 31, 2**31),
        state_bits=any_of(None, None, 5, 16, 32),
        decay=any_of(None, None, 0, 1, 4, 32),
        reset=any_of("subtract", "subtract", "zero"),
    )


@dataclass
class RandomNetwork:
    """A network, its stimulus, its populations and what is fed: `(batch, steps or 1, *shape)`."""

    network: sw.Network
    stimulus: sw.Node
    populations: list[sw.Ensemble]
    fed: NDArray
    steps: int
    precision: Precision = "float32"

    def program(self) -> Program:
        """The network compiled."""
        return compile_network(self.network, DT, 0, self.precision)

    def run(
        self,
        engine: Engine,
        program: Program | None = None,
        samples: slice | list[int] = slice(None),
        **cut: int,
    ) -> list[NDArray]:
        """All recordings, then the totals of every population."""
        fed = self.fed[samples]
        execution = Execution(program or self.program(), engine, len(fed), self.populations, **cut)
        arrays = execution.run(self.steps, {self.stimulus: fed})
        sums = [execution.summed()[p] for p in self.populations]
        return [*arrays, *(array for totals in sums for array in (totals.sent, totals.net))]


def random_network(rng: np.random.Generator) -> RandomNetwork:
    """A stack of a few populations, joined by whatever the generator draws, in either precision."""
    make = _Maker(rng)
    make.build(int(rng.integers(1, 5)))
    batch, steps = int(rng.integers(1, 6)), int(rng.integers(1, 30))
    held = rng.random() < 0.5
    fed = rng.normal(0.3, 1.0, (batch, 1 if held else steps, *make.stimulus.shape_out))
    fed *= 10.0 ** rng.uniform(-1, 1.5)
    precision = PRECISIONS[rng.integers(2)]
    return RandomNetwork(make.network, make.stimulus, make.populations, fed, steps, precision)


class _Maker:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.last = bool(rng.random() < 0.5)
        self.network = sw.Network(seed=0)
        self.populations: list[sw.Ensemble] = []

    def draw(self, *values: int) -> int:
        return int(self.rng.choice(values))

    def build(self, depth: int) -> None:
        rank = self.draw(0, 1, 2, 2)
        spatial = tuple(self.draw(1, 3, 7, 10) for _ in range(rank))
        channels = self.draw(1, 3, 16, 33, 70)
        shape = self.shape(spatial, channels)
        with self.network:
            self.stimulus = sw.Node(np.zeros(shape), label="stimulus")
            self.populations.append(self.population(shape))
            sw.Connection(self.stimulus, self.populations[0].neurons, None)
            for _ in range(depth):
                self.grow()
            end = self.populations[-1]
            out = sw.Node(size_in=end.shape)
            sw.Connection(end.neurons, out, None)
            self.probe(out)

    def probe(self, out: sw.Node) -> None:
        sw.Probe(out)
        for population in self.populations:
            if self.rng.random() < 0.7:
                sw.Probe(population.neurons, "spike_count")
            if self.rng.random() < 0.2:
                sw.Probe(population.neurons, "input")
            if self.rng.random() < 0.2 and population.neuron_type.has_voltage:
                sw.Probe(population.neurons, "voltage")

    def shape(self, spatial: tuple[int, ...], channels: int) -> tuple[int, ...]:
        return (*spatial, channels) if self.last else (channels, *spatial)

    def population(self, shape: tuple[int, ...]) -> sw.Ensemble:
        rng = self.rng
        kind = self.neuron_type(shape)
        each = rng.random() < 0.2
        scale = rng.uniform(1, 9, shape) if each else float(rng.choice([1.0, 3.0, 8.0, 200.0]))
        gain = rng.uniform(0.5, 2.0, shape) if rng.random() < 0.3 else 1.0
        channel = (
            shape
            if rng.random() < 0.3
            else (
                self.shape((1,) * (len(shape) - 1), shape[-1])
                if self.last
                else (shape[0], *(1,) * (len(shape) - 1))
            )
        )
        bias = rng.normal(0.0, 0.3, channel) if rng.random() < 0.7 else 0.0
        return sw.Ensemble(
            shape,
            neuron_type=kind,
            gain=gain,
            bias=bias,
            rate_scale=scale,
            initial_voltage=str(rng.choice(["zero", "half", "uniform"])),
        )

    def neuron_type(self, shape: tuple[int, ...]) -> NeuronType:
        rng = self.rng
        amplitude = float(rng.choice([1.0, 0.5, 0.3]))
        draw = rng.random()
        if draw < 0.1:
            return SignedIntegrateAndFire(amplitude)
        if draw < 0.2:
            cap = None if rng.random() < 0.5 else self.draw(1, 1, 3, 200)
            return BipolarIntegrateAndFire(amplitude, cap)
        if draw < 0.25:
            slope = rng.normal(0, 0.5, shape if rng.random() < 0.5 else (1,) * len(shape))
            return RunningMeanSpiking(ParametricReLU(slope))
        if draw < 0.3:
            return RunningMeanSpiking(sw.ClippedReLU(max_value=6.0))
        if draw < 0.35:
            return SpikingLeakyReLU()
        if draw < 0.37:
            return StochasticSpiking(sw.RectifiedLinear())
        if draw < 0.39:
            return PoissonSpiking(sw.LeakyReLU(0.3))
        if draw < 0.4:  # without a kernel: what follows it is native again
            return StochasticSpiking(Elementwise.of("gelu"))
        if draw < 0.45:
            return fixed_point(rng, shape, self.last)
        if draw < 0.5:
            return sw.SpikingRectifiedLinear()
        return sw.IntegrateAndFire(
            amplitude=amplitude,
            voltage_floor=None if rng.random() < 0.7 else float(rng.uniform(0, 2)),
            max_spikes_per_step=None if rng.random() < 0.6 else self.draw(1, 2, 5),
        )

    def joined(self, before: sw.Ensemble) -> tuple[sw.Node | NeuronsView, tuple[int, ...]]:
        """The last population, now and then with its or another's values put beside it."""
        rng = self.rng
        alike = [p for p in self.populations if p.shape == before.shape]
        if rng.random() < 0.7:
            return before.neurons, before.shape
        if rng.random() < 0.2:  # without a kernel
            # without a kernel: that of a softmax differs from the reference by rounding of exp
            function = sw.Node(LogSoftmax(-1, accumulate=True), size_in=before.shape)
            sw.Connection(before.neurons, function, None)
            return function, before.shape
        if len(before.shape) > 1 and rng.random() < 0.3:
            return self.pooled(before)
        axis = int(rng.integers(len(before.shape)))
        n, apart = before.shape[axis], self.draw(0, 0, 1)
        whole = list(before.shape)
        whole[axis] = 2 * n + apart
        node = sw.Node(size_in=tuple(whole))
        for other, start in ((before, n + apart), (alike[rng.integers(len(alike))], 0)):
            ranges = [(0, m, 1) for m in before.shape]
            ranges[axis] = (start, start + n, 1)
            sw.Connection(other.neurons, node, None, Place(tuple(ranges), tuple(whole)))
        return node, tuple(whole)

    def pooled(self, before: sw.Ensemble) -> tuple[sw.Node, tuple[int, ...]]:
        """Maxima over windows of the last population."""
        spatial = before.shape[:-1] if self.last else before.shape[1:]
        size = tuple(self.draw(*range(1, min(3, n) + 1)) for n in spatial)
        stride = tuple(self.draw(1, 2) for _ in spatial)
        windows = Windows(size, stride, ((0, 0),) * len(spatial), (1,) * len(spatial))
        pool = MaxPool(windows, self.last, bool(self.rng.random() < 0.7))
        shape = pool.output_shape(before.shape)
        node = sw.Node(pool, size_in=before.shape)
        sw.Connection(before.neurons, node, None)
        return node, shape

    def grow(self) -> None:
        """One more population behind the last, by some map; now and then a shortcut beside it."""
        before = self.populations[-1]
        source, given = self.joined(before)
        chain, shape = self.maps(given)
        after = self.population(shape)
        self.populations.append(after)
        sw.Connection(source, after.neurons, None, Chain(tuple(chain)))
        if before.shape == shape and self.rng.random() < 0.5:
            sw.Connection(before.neurons, after.neurons, None)
        for other in self.populations[:-2]:
            if other.shape == shape and self.rng.random() < 0.5:
                sw.Connection(other.neurons, after.neurons, None)
        if self.rng.random() < 0.2:
            sw.Connection(sw.Node(self.rng.normal(0, 1, shape)), after.neurons, None)

    def maps(self, shape: tuple[int, ...]) -> tuple[list[Transform], tuple[int, ...]]:
        """Transforms from a shape, ending with weights, and the shape they lead to."""
        rng = self.rng
        chain: list[Transform] = []

        def add(transform: Transform) -> None:
            nonlocal shape
            chain.append(transform)
            shape = transform.output_shape(shape)

        spatial = shape[:-1] if self.last else shape[1:]
        if spatial and min(spatial) >= 2 and rng.random() < 0.3:
            rank = len(spatial)
            windows = Windows((2,) * rank, (self.draw(1, 2),) * rank, ((0, 0),) * rank, (1,) * rank)
            add(SumPool(windows, np.array(0.25), self.last))
        if rng.random() < 0.15:
            add(Slice(tuple((0, n, self.draw(1, 2)) for n in shape)))
        if rng.random() < 0.1:
            axis = int(rng.integers(len(shape)))
            add(Take(rng.integers(0, shape[axis], self.draw(1, 4)), axis))
        if rng.random() < 0.1:
            ranges = tuple((self.draw(0, 1), 2 * n + 1, 2) for n in shape)
            ranges = tuple(
                (a, a + 2 * n - 1, 2) for (a, _, _), n in zip(ranges, shape, strict=True)
            )
            add(Place(ranges, tuple(2 * n + 1 for n in shape)))
        if rng.random() < 0.15:
            axis = int(rng.integers(len(shape)))
            matrix = rng.normal(0.0, 1.0, (self.draw(1, 3, 6), shape[axis]))
            add(AxisMap(matrix * (rng.random(matrix.shape) < 0.6), axis))
        if len(shape) > 1 and rng.random() < 0.2:
            add(Permute(tuple(int(i) for i in rng.permutation(len(shape)))))
        if len(shape) > 1 and rng.random() < 0.3:
            add(Reshape((int(np.prod(shape)),)))
        if 2 <= len(shape) <= 3 and rng.random() < 0.75:
            add(self.convolution(shape))
        else:
            out = self.draw(1, 5, 16, 40, 64, 130)
            scale = 2.0 / np.sqrt(shape[-1])
            add(Dense(rng.normal(0.0, scale, (out, shape[-1])).astype(np.float32)))
        return chain, shape

    def convolution(self, shape: tuple[int, ...]) -> Convolution:
        rng = self.rng
        spatial = shape[:-1] if self.last else shape[1:]
        channels = shape[-1] if self.last else shape[0]
        size, stride, padding, dilation = [], [], [], []
        for n in spatial:
            pads = (self.draw(0, 1, 2), self.draw(0, 1, 3))
            dilated = self.draw(1, 1, 2)
            fits = [k for k in (1, 2, 3, 5) if dilated * (k - 1) + 1 <= n + sum(pads)]
            size.append(int(rng.choice(fits)))
            stride.append(self.draw(1, 1, 2, 9))
            padding.append(pads)
            dilation.append(dilated)
        divisors = [g for g in range(2, channels + 1) if channels % g == 0]
        groups = 1
        if divisors and rng.random() < 0.4:
            groups = channels if rng.random() < 0.5 else self.draw(*divisors)
        out = groups * self.draw(1, 2, 3) if groups > 1 else self.draw(1, 8, 16, 50, 64, 100)
        inner = channels // groups
        scale = 2.0 / np.sqrt(inner * np.prod(size))
        return Convolution(
            rng.normal(0.0, scale, (out, inner, *size)).astype(np.float32),
            tuple(stride),
            tuple(padding),
            tuple(dilation),
            groups,
            self.last,
        )
