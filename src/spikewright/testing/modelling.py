"""Examples of every registered neuron type, synapse and transform, for tests that run over them.

Parameters are drawn from a fixed seed; every option that changes an equation has an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import CURVES
from spikewright._base.windows import Windows
from spikewright.network.neurons import (
    LIF,
    AdaptiveLIF,
    AdaptiveLIFRate,
    BipolarIntegrateAndFire,
    ClippedReLU,
    DiscreteLI,
    DiscreteLIF,
    Elementwise,
    FixedPointIntegrateAndFire,
    GridLIF,
    IntegrateAndFire,
    Izhikevich,
    LeakyReLU,
    LIFRate,
    NeuronType,
    ParametricReLU,
    PoissonSpiking,
    RectifiedLinear,
    RegularSpiking,
    RunningMeanSpiking,
    Sigmoid,
    SignedIntegrateAndFire,
    SoftLIFRate,
    Softplus,
    SpikingLeakyReLU,
    SpikingRectifiedLinear,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.shapes import Shape
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse, Triangle, WindowMean
from spikewright.network.transforms import (
    AxisMap,
    Chain,
    Convolution,
    ConvolutionTranspose,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
)
from spikewright.testing.layers import CURVE_PARAMETERS

IMAGE: Shape = (4, 7, 6)
"""Channels, height, width of most examples: sizes that differ, so that swapped axes show."""


class NeuronExample(NamedTuple):
    """A neuron type, and a step and scale at which it is exercised.

    `exact` says that dyadic currents keep its arithmetic exact even in float32, so that engines
    must agree spike by spike.
    """

    id: str
    neuron_type: NeuronType
    dt: float = 0.125
    scale: float = 1.0
    exact: bool = True

    def currents(self, steps: int, n: int, seed: int = 0) -> NDArray:
        """Dyadic currents `(steps, n)` of both signs that make it spike now and then."""
        rng = np.random.default_rng(seed)
        reach = 16 if self.dt < 0.01 else 64
        mean = rng.integers(-reach // 2, reach, n)
        return (mean + rng.integers(-reach, reach + 1, (steps, n))) / 4.0


def sent_of(kind: NeuronType, counts: NDArray, axis: int = 0) -> NDArray:
    """The spikes that were sent, of either sign, of counts whose steps lie along an axis.

    Without those that receivers take as sent.
    """
    steps = range(1, counts.shape[axis] + 1)
    assumed, heights = (
        np.array([at(step) for step in steps]).reshape(-1, *(1,) * (counts.ndim - axis - 1))
        for at in (kind.assumed_at, kind.height_at)
    )
    return np.abs(counts - assumed) / heights


def neuron_type_examples() -> list[NeuronExample]:
    """At least one example of every registered neuron type."""
    return [
        *_linear_neurons(),
        *_whole_neurons(),
        *_curved_neurons(),
        *_wrapped_neurons(),
        *_named_neurons(),
    ]


def _linear_neurons() -> Iterator[NeuronExample]:
    yield NeuronExample("relu", RectifiedLinear())
    yield NeuronExample("relu-amplitude-scale", RectifiedLinear(0.5), scale=4.0)
    yield NeuronExample("spiking-relu", SpikingRectifiedLinear())
    yield NeuronExample("spiking-relu-amplitude-scale", SpikingRectifiedLinear(0.5), scale=4.0)
    yield NeuronExample("integrate-and-fire", IntegrateAndFire())
    yield NeuronExample("integrate-and-fire-scale", IntegrateAndFire(2.0), scale=4.0)
    yield NeuronExample("integrate-and-fire-floor", IntegrateAndFire(voltage_floor=0.5))
    yield NeuronExample("integrate-and-fire-no-debt", IntegrateAndFire(voltage_floor=0.0))
    yield NeuronExample("integrate-and-fire-cap", IntegrateAndFire(max_spikes_per_step=1))
    both = IntegrateAndFire(voltage_floor=2.0, max_spikes_per_step=2)
    yield NeuronExample("integrate-and-fire-floor-cap", both, scale=2.0)
    yield NeuronExample("signed", SignedIntegrateAndFire())
    yield NeuronExample("signed-amplitude-scale", SignedIntegrateAndFire(0.5), scale=4.0)
    yield NeuronExample("signed-cap", SignedIntegrateAndFire(max_spikes_per_step=1))
    yield NeuronExample("signed-cap-amplitude-scale", SignedIntegrateAndFire(0.5, 3), scale=4.0)
    yield NeuronExample("bipolar", BipolarIntegrateAndFire())
    yield NeuronExample("bipolar-cap", BipolarIntegrateAndFire(max_spikes_per_step=1))
    yield NeuronExample("bipolar-cap-amplitude-scale", BipolarIntegrateAndFire(0.5, 2), scale=4.0)
    yield NeuronExample("bipolar-assumed", BipolarIntegrateAndFire(assumed_spikes=2))
    yield NeuronExample("bipolar-cap-assumed", BipolarIntegrateAndFire(1.0, 1, 3), scale=2.0)
    yield NeuronExample("bipolar-heights", BipolarIntegrateAndFire(spike_heights=(3, 2, 2)))
    yield NeuronExample(
        "bipolar-cap-heights", BipolarIntegrateAndFire(1.0, 1, 1, (3, 2, 2, 1)), scale=2.0
    )
    yield NeuronExample("bipolar-levels", BipolarIntegrateAndFire.in_steps(3, 3))
    yield NeuronExample("bipolar-no-debt", BipolarIntegrateAndFire(debt=False))
    capped = BipolarIntegrateAndFire(0.5, 1, 1, (3, 2, 2, 1), debt=False)
    yield NeuronExample("bipolar-no-debt-cap-heights", capped, scale=2.0)
    yield NeuronExample("leaky-relu", LeakyReLU(0.25))
    yield NeuronExample("spiking-leaky-relu", SpikingLeakyReLU(0.25))
    yield NeuronExample("spiking-leaky-relu-reflecting", SpikingLeakyReLU(-0.5, 2.0), scale=2.0)


def _whole_neurons() -> Iterator[NeuronExample]:
    """Neurons in whole numbers: plain ones, and each bound alone and together."""
    fixed = FixedPointIntegrateAndFire
    yield NeuronExample("fixed-point", fixed(np.array(64)))
    yield NeuronExample("fixed-point-amplitude-scale", fixed(np.array(12), 0.5), scale=4.0)
    yield NeuronExample("fixed-point-floor", fixed(np.array(5), voltage_floor=0.0))
    yield NeuronExample("fixed-point-cap", fixed(np.array(7), max_spikes_per_step=1))
    yield NeuronExample("fixed-point-state", fixed(np.array(16), state_bits=6))
    yield NeuronExample("fixed-point-decay", fixed(np.array(16), decay=2))
    yield NeuronExample("fixed-point-zero", fixed(np.array(3), reset="zero"))
    chip = fixed(np.array(9), 1.0, 1.0, 2, state_bits=5, decay=3)
    yield NeuronExample("fixed-point-chip", chip, scale=2.0)


def _named_neurons() -> Iterator[NeuronExample]:
    """Every elementwise function that is defined everywhere, as rates; some of them as spikes."""
    for function, curve in CURVES.items():
        if curve.domain == "all":
            base = Elementwise.of(function, **CURVE_PARAMETERS.get(function, {}))
            yield NeuronExample(f"elementwise-{function}", base, exact=False)
    for function in ("gelu", "square", "softsign"):
        spiking = RunningMeanSpiking(Elementwise.of(function))
        yield NeuronExample(f"running-mean-{function}", spiking, scale=16.0, exact=False)
    far = RunningMeanSpiking(Elementwise.of("log"))  # of currents where there is none
    yield NeuronExample("running-mean-log", far, scale=16.0, exact=False)
    slopes = ParametricReLU(np.array(-0.25))  # of any shape; a population fixes it
    yield NeuronExample("parametric-relu", slopes)
    yield NeuronExample("running-mean-parametric-relu", RunningMeanSpiking(slopes), scale=4.0)


def _curved_neurons() -> Iterator[NeuronExample]:
    yield NeuronExample("clipped-relu", ClippedReLU(6.0))
    yield NeuronExample("clipped-relu-scale", ClippedReLU(3.0, 0.5), scale=4.0)
    yield NeuronExample("sigmoid", Sigmoid(), exact=False)
    yield NeuronExample("sigmoid-plain", Sigmoid(1.0), exact=False)
    yield NeuronExample("tanh", Tanh(1.0, 2.0), exact=False)
    yield NeuronExample("softplus", Softplus(), exact=False)
    yield NeuronExample("lif-rate", LIFRate(0.02, 0.002), exact=False)
    small = 2.0**-10
    yield NeuronExample("lif", LIF(), small, exact=False)
    yield NeuronExample("lif-without-floor", LIF(min_voltage=-np.inf), small, exact=False)
    slow = LIF(tau_rc=0.01, tau_ref=0.004, min_voltage=-0.5, amplitude=0.5)
    yield NeuronExample("lif-slow", slow, small, exact=False)
    yield NeuronExample("lif-skewed", LIF(skewed_scaling=True), small, 2.0, exact=False)
    yield NeuronExample("grid-lif", GridLIF(), small, exact=False)
    deep = GridLIF(tau_rc=0.01, tau_ref=0.0, min_voltage=-np.inf, amplitude=0.5)
    yield NeuronExample("grid-lif-without-floor", deep, small, exact=False)
    decay = np.array(0.75)
    yield NeuronExample("discrete-li", DiscreteLI(decay), exact=False)
    yield NeuronExample("discrete-lif", DiscreteLIF(decay, reset_voltage=-0.25), exact=False)
    soft = DiscreteLIF(decay, "subtract", amplitude=0.5)
    yield NeuronExample("discrete-lif-soft", soft, exact=False)
    capped = DiscreteLIF(np.array(1.0), "subtract", max_spikes_per_step=1)
    yield NeuronExample("discrete-lif-soft-cap", capped)
    yield NeuronExample("soft-lif-rate", SoftLIFRate(0.1), exact=False)
    yield NeuronExample("adaptive-lif-rate", AdaptiveLIFRate(tau_n=0.1), exact=False)
    tired = AdaptiveLIF(tau_n=0.05, inc_n=0.02, amplitude=0.5)
    yield NeuronExample("adaptive-lif", tired, small, exact=False)
    yield NeuronExample("izhikevich", Izhikevich(), small, exact=False)


def _wrapped_neurons() -> Iterator[NeuronExample]:
    clipped, leaky = ClippedReLU(6.0), LeakyReLU(0.25)
    yield NeuronExample("regular-relu", RegularSpiking(RectifiedLinear(2.0)))
    yield NeuronExample("regular-clipped", RegularSpiking(clipped, 0.5), scale=4.0)
    yield NeuronExample("regular-leaky", RegularSpiking(leaky))
    yield NeuronExample("regular-tanh", RegularSpiking(Tanh(1.0)), scale=16.0, exact=False)
    yield NeuronExample("running-mean-clipped", RunningMeanSpiking(clipped, 0.5), scale=4.0)
    yield NeuronExample("running-mean-leaky", RunningMeanSpiking(leaky))
    for base in (Sigmoid(1.0), Tanh(1.0), Softplus()):
        name = f"running-mean-{type(base).__name__.lower()}"
        yield NeuronExample(name, RunningMeanSpiking(base), scale=16.0, exact=False)
    yield NeuronExample("running-mean-leaky-cap", RunningMeanSpiking(leaky, 1.0, 2))
    tanh = RunningMeanSpiking(Tanh(1.0), max_spikes_per_step=1)
    yield NeuronExample("running-mean-tanh-cap", tanh, scale=16.0, exact=False)
    yield NeuronExample("stochastic-leaky", StochasticSpiking(leaky))
    yield NeuronExample("stochastic-relu", StochasticSpiking(RectifiedLinear(2.0), 0.5), scale=4.0)
    yield NeuronExample("poisson-leaky", PoissonSpiking(leaky), exact=False)
    many = PoissonSpiking(RectifiedLinear(2.0))  # means far above what one inversion reaches
    yield NeuronExample("poisson-many", many, scale=8.0, exact=False)


class SynapseExample(NamedTuple):
    """A synapse under a name that is unique."""

    id: str
    synapse: Synapse


def synapse_examples() -> list[SynapseExample]:
    """At least one example of every synapse; time constants suit steps of a millisecond."""
    first = ((1.0,), (0.01, 1.0))
    resonant = ((1.0,), (1e-4, 4e-3, 1.0))
    return [
        SynapseExample("lowpass", Lowpass(0.01)),
        SynapseExample("lowpass-short", Lowpass(0.0004)),
        SynapseExample("lowpass-none", Lowpass(0.0)),
        SynapseExample("alpha", Alpha(0.01)),
        SynapseExample("alpha-none", Alpha(0.0)),
        SynapseExample("filter", LinearFilter(*first)),
        SynapseExample("filter-euler", LinearFilter(*first, method="euler")),
        SynapseExample("filter-bilinear", LinearFilter(*first, method="bilinear")),
        SynapseExample("filter-backward", LinearFilter(*first, method="backward_diff")),
        SynapseExample("filter-resonant", LinearFilter(*resonant)),
        SynapseExample("filter-resonant-bilinear", LinearFilter(*resonant, method="bilinear")),
        SynapseExample("filter-feedthrough", LinearFilter((0.004, 1.0), (0.01, 1.0))),
        SynapseExample("filter-gain", LinearFilter((3.0,), (2.0,))),
        SynapseExample("filter-third-order", LinearFilter((1e-3, 1.0), (1e-6, 3e-4, 0.03, 1.0))),
        SynapseExample("filter-discrete", LinearFilter((0.5, 0.25), (1.0, -0.25), analog=False)),
        SynapseExample("filter-discrete-lag", LinearFilter((0.5,), (1.0, -0.5), analog=False)),
        SynapseExample("triangle", Triangle(0.005)),
        SynapseExample("triangle-none", Triangle(0.0)),
        SynapseExample("window-mean", WindowMean(7)),
        SynapseExample("window-mean-one", WindowMean(1)),
        SynapseExample("window-mean-begun", WindowMean(12, (0.75,))),
    ]


class TransformExample(NamedTuple):
    """A transform with the (unbatched) shape of its input, under a name that is unique."""

    id: str
    transform: Transform
    shape: Shape


def transform_examples() -> list[TransformExample]:
    """At least one example of every registered transform; the same values at every call."""
    rng = np.random.default_rng(0)
    return [*_weighted(rng), *_windowed(rng), *_layout(rng), *_transposed()]


def _weighted(rng: np.random.Generator) -> Iterator[TransformExample]:
    some = rng.standard_normal
    yield TransformExample("dense", Dense(some((5, 9))), (9,))
    yield TransformExample("dense-single", Dense(some((5, 9)).astype(np.float32)), (9,))
    yield TransformExample("dense-rows", Dense(some((3, 6))), IMAGE)
    uneven = some((4, 9)) * np.array([[1e-6], [1.0], [1e3], [0.0]])
    yield TransformExample("dense-uneven-channels", Dense(uneven), (9,))
    yield TransformExample("scale", Scale(np.array(-1.75)), IMAGE)
    yield TransformExample("scale-channels", Scale(some((4, 1, 1))), IMAGE)
    yield TransformExample("scale-each", Scale(some(IMAGE)), IMAGE)
    rows, columns = rng.integers(0, 6, 25), rng.integers(0, 168, 25)
    rows[:3], columns[:3] = 2, 7  # entries that meet add up
    yield TransformExample("sparse", Sparse(rows, columns, some(25), (2, 3), 168), IMAGE)
    yield TransformExample("sparse-empty", Sparse([], [], [], (3,), 4), (4,))
    yield TransformExample("axis-first", AxisMap(some((3, 4)), 0), IMAGE)
    yield TransformExample("axis-middle", AxisMap(some((9, 7)), 1), IMAGE)


def _windowed(rng: np.random.Generator) -> Iterator[TransformExample]:
    some = rng.standard_normal
    none, edges, ones = ((0, 0), (0, 0)), ((1, 0), (2, 1)), (1, 1)
    last = (*IMAGE[1:], IMAGE[0])
    plain = Convolution(some((5, 4, 3, 2)), ones, none, ones)
    yield TransformExample("convolution", plain, IMAGE)
    odd = Convolution(some((5, 4, 3, 2)), (2, 3), edges, (1, 2))
    yield TransformExample("convolution-strided-padded-dilated", odd, IMAGE)
    kernel = some((3, 4, 2, 3)).astype(np.float32)
    yield TransformExample(
        "convolution-last", Convolution(kernel, ones, edges, ones, channels_last=True), last
    )
    grouped = Convolution(some((6, 2, 2, 2)), ones, none, ones, groups=2)
    yield TransformExample("convolution-grouped", grouped, IMAGE)
    depthwise = Convolution(some((4, 1, 3, 3)), ones, ((1, 1), (1, 1)), ones, groups=4)
    yield TransformExample("convolution-depthwise", depthwise, IMAGE)
    multiplied = Convolution(some((8, 1, 2, 2)), ones, none, ones, groups=4)
    yield TransformExample("convolution-depthwise-multiplied", multiplied, IMAGE)
    line = Convolution(some((3, 2, 4)), (2,), ((1, 2),), (1,))
    yield TransformExample("convolution-1d", line, (2, 9))
    volume = Convolution(some((2, 2, 2, 1, 2)), (1, 1, 2), ((0, 0),) * 3, (1, 1, 1))
    yield TransformExample("convolution-3d", volume, (2, 3, 4, 5))
    square = Windows((2, 2), (2, 2), none, ones)
    yield TransformExample("sum-pool", SumPool(square, np.array(0.25)), IMAGE)
    partial = Windows((3, 2), (2, 1), edges, (1, 1), ceil_mode=True)
    extent = partial.output_extent(IMAGE[1:])
    yield TransformExample("sum-pool-each", SumPool(partial, some(extent)), IMAGE)
    yield TransformExample("sum-pool-last", SumPool(square, np.array(1.5), True), last)


def _transposed() -> Iterator[TransformExample]:
    """Transposed convolutions in Nengo's words, as a connection makes them."""
    forms: dict[str, ConvolutionTranspose] = {
        "convolution-transpose": ConvolutionTranspose(3, (4, 3, 2)),
        "convolution-transpose-same": ConvolutionTranspose(
            4, (2, 3, 4), (4, 6, 10), (3, 4), (2, 3), "same", channels_last=False, groups=2
        ),
        "convolution-transpose-line": ConvolutionTranspose(2, (5, 3), (10, 2), (1,), (2,), "same"),
    }
    for name, form in forms.items():
        yield TransformExample(name, form.made(np.random.default_rng(4)), (form.size_in,))


def _layout(rng: np.random.Generator) -> Iterator[TransformExample]:
    yield TransformExample("reshape", Reshape((6, 28)), IMAGE)
    yield TransformExample("permute", Permute((2, 0, 1)), IMAGE)
    yield TransformExample("slice", Slice(((0, 4, 2), (2, 7, 1), (5, 6, 1))), IMAGE)
    place = Place(((1, 9, 2), (0, 7, 1), (3, 9, 1)), (9, 8, 9))
    yield TransformExample("place", place, IMAGE)
    yield TransformExample("take", Take(np.array([6, 0, 0, 3, 1]), 1), IMAGE)
    yield TransformExample("take-first", Take(np.array([2]), 0), IMAGE)
    weighted = Dense(rng.standard_normal((3, 168)))
    chain = Chain((Permute((1, 2, 0)), Reshape((168,)), weighted))
    yield TransformExample("chain", chain, IMAGE)
    nested = Chain((Chain((Reshape((24, 7)),)), AxisMap(rng.standard_normal((2, 7)), 1)))
    yield TransformExample("chain-nested", nested, IMAGE)
    yield TransformExample("chain-empty", Chain(()), IMAGE)
