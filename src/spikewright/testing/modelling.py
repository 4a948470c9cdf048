"""Examples of every registered neuron type, synapse and transform, for tests that run over them.

Parameters are drawn from a fixed seed; every option that changes an equation has an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import CURVES
from spikewright._base.windows import Windows
from spikewright.network import neurons as kinds
from spikewright.network import transforms as maps
from spikewright.network.neurons import NeuronType
from spikewright.network.shapes import Shape
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse, Triangle, WindowMean
from spikewright.network.transforms import Transform
from spikewright.testing.layers import CURVE_PARAMETERS, IMAGE


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
    yield NeuronExample("relu", kinds.RectifiedLinear())
    yield NeuronExample("relu-amplitude-scale", kinds.RectifiedLinear(0.5), scale=4.0)
    yield NeuronExample("spiking-relu", kinds.SpikingRectifiedLinear())
    yield NeuronExample(
        "spiking-relu-amplitude-scale", kinds.SpikingRectifiedLinear(0.5), scale=4.0
    )
    yield NeuronExample("integrate-and-fire", kinds.IntegrateAndFire())
    yield NeuronExample("integrate-and-fire-scale", kinds.IntegrateAndFire(2.0), scale=4.0)
    yield NeuronExample("integrate-and-fire-floor", kinds.IntegrateAndFire(voltage_floor=0.5))
    yield NeuronExample("integrate-and-fire-no-debt", kinds.IntegrateAndFire(voltage_floor=0.0))
    yield NeuronExample("integrate-and-fire-cap", kinds.IntegrateAndFire(max_spikes_per_step=1))
    both = kinds.IntegrateAndFire(voltage_floor=2.0, max_spikes_per_step=2)
    yield NeuronExample("integrate-and-fire-floor-cap", both, scale=2.0)
    yield NeuronExample("signed", kinds.SignedIntegrateAndFire())
    yield NeuronExample("signed-amplitude-scale", kinds.SignedIntegrateAndFire(0.5), scale=4.0)
    yield NeuronExample("signed-cap", kinds.SignedIntegrateAndFire(max_spikes_per_step=1))
    yield NeuronExample(
        "signed-cap-amplitude-scale", kinds.SignedIntegrateAndFire(0.5, 3), scale=4.0
    )
    yield NeuronExample("bipolar", kinds.BipolarIntegrateAndFire())
    yield NeuronExample("bipolar-cap", kinds.BipolarIntegrateAndFire(max_spikes_per_step=1))
    yield NeuronExample(
        "bipolar-cap-amplitude-scale", kinds.BipolarIntegrateAndFire(0.5, 2), scale=4.0
    )
    yield NeuronExample("bipolar-heights", kinds.BipolarIntegrateAndFire(spike_heights=(3, 2, 2)))
    yield NeuronExample(
        "bipolar-cap-heights", kinds.BipolarIntegrateAndFire(1.0, 1, (3, 2, 2, 1)), scale=2.0
    )
    yield NeuronExample("bipolar-levels", kinds.BipolarIntegrateAndFire.in_steps(3, 3))
    digits = kinds.BipolarIntegrateAndFire.digits
    yield NeuronExample("bipolar-digits", digits(4))
    yield NeuronExample("bipolar-digits-later", digits(3, 5), scale=2.0)
    yield NeuronExample("bipolar-digits-signed", digits(4, 2, kinds.LeakyReLU(0.25)))
    yield NeuronExample("bipolar-digits-clipped", digits(2, 1, kinds.ClippedReLU(4.0)))
    yield NeuronExample("leaky-relu", kinds.LeakyReLU(0.25))
    yield NeuronExample("spiking-leaky-relu", kinds.SpikingLeakyReLU(0.25))
    yield NeuronExample(
        "spiking-leaky-relu-reflecting", kinds.SpikingLeakyReLU(-0.5, 2.0), scale=2.0
    )


def _whole_neurons() -> Iterator[NeuronExample]:
    """Neurons in whole numbers: plain ones, and each bound alone and together."""
    fixed = kinds.FixedPointIntegrateAndFire
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
            base = kinds.Elementwise.of(function, **CURVE_PARAMETERS.get(function, {}))
            yield NeuronExample(f"elementwise-{function}", base, exact=False)
    for function in ("gelu", "square", "softsign"):
        spiking = kinds.RunningMeanSpiking(kinds.Elementwise.of(function))
        yield NeuronExample(f"running-mean-{function}", spiking, scale=16.0, exact=False)
    far = kinds.RunningMeanSpiking(kinds.Elementwise.of("log"))  # of currents where there is none
    yield NeuronExample("running-mean-log", far, scale=16.0, exact=False)
    slopes = kinds.ParametricReLU(np.array(-0.25))  # of any shape; a population fixes it
    yield NeuronExample("parametric-relu", slopes)
    yield NeuronExample("running-mean-parametric-relu", kinds.RunningMeanSpiking(slopes), scale=4.0)


def _curved_neurons() -> Iterator[NeuronExample]:
    yield NeuronExample("clipped-relu", kinds.ClippedReLU(6.0))
    yield NeuronExample("clipped-relu-scale", kinds.ClippedReLU(3.0, 0.5), scale=4.0)
    yield NeuronExample("sigmoid", kinds.Sigmoid(), exact=False)
    yield NeuronExample("sigmoid-plain", kinds.Sigmoid(1.0), exact=False)
    yield NeuronExample("tanh", kinds.Tanh(1.0, 2.0), exact=False)
    yield NeuronExample("softplus", kinds.Softplus(), exact=False)
    yield NeuronExample("lif-rate", kinds.LIFRate(0.02, 0.002), exact=False)
    small = 2.0**-10
    yield NeuronExample("lif", kinds.LIF(), small, exact=False)
    yield NeuronExample("lif-without-floor", kinds.LIF(min_voltage=-np.inf), small, exact=False)
    slow = kinds.LIF(tau_rc=0.01, tau_ref=0.004, min_voltage=-0.5, amplitude=0.5)
    yield NeuronExample("lif-slow", slow, small, exact=False)
    yield NeuronExample("lif-skewed", kinds.LIF(skewed_scaling=True), small, 2.0, exact=False)
    yield NeuronExample("grid-lif", kinds.GridLIF(), small, exact=False)
    deep = kinds.GridLIF(tau_rc=0.01, tau_ref=0.0, min_voltage=-np.inf, amplitude=0.5)
    yield NeuronExample("grid-lif-without-floor", deep, small, exact=False)
    decay = np.array(0.75)
    yield NeuronExample("discrete-li", kinds.DiscreteLI(decay), exact=False)
    yield NeuronExample("discrete-lif", kinds.DiscreteLIF(decay, reset_voltage=-0.25), exact=False)
    soft = kinds.DiscreteLIF(decay, "subtract", amplitude=0.5)
    yield NeuronExample("discrete-lif-soft", soft, exact=False)
    capped = kinds.DiscreteLIF(np.array(1.0), "subtract", max_spikes_per_step=1)
    yield NeuronExample("discrete-lif-soft-cap", capped)
    yield NeuronExample("soft-lif-rate", kinds.SoftLIFRate(0.1), exact=False)
    yield NeuronExample("adaptive-lif-rate", kinds.AdaptiveLIFRate(tau_n=0.1), exact=False)
    tired = kinds.AdaptiveLIF(tau_n=0.05, inc_n=0.02, amplitude=0.5)
    yield NeuronExample("adaptive-lif", tired, small, exact=False)
    yield NeuronExample("izhikevich", kinds.Izhikevich(), small, exact=False)


def _wrapped_neurons() -> Iterator[NeuronExample]:
    clipped, leaky = kinds.ClippedReLU(6.0), kinds.LeakyReLU(0.25)
    yield NeuronExample("regular-relu", kinds.RegularSpiking(kinds.RectifiedLinear(2.0)))
    yield NeuronExample("regular-clipped", kinds.RegularSpiking(clipped, 0.5), scale=4.0)
    yield NeuronExample("regular-leaky", kinds.RegularSpiking(leaky))
    yield NeuronExample(
        "regular-tanh", kinds.RegularSpiking(kinds.Tanh(1.0)), scale=16.0, exact=False
    )
    yield NeuronExample("running-mean-clipped", kinds.RunningMeanSpiking(clipped, 0.5), scale=4.0)
    yield NeuronExample("running-mean-leaky", kinds.RunningMeanSpiking(leaky))
    for base in (kinds.Sigmoid(1.0), kinds.Tanh(1.0), kinds.Softplus()):
        name = f"running-mean-{type(base).__name__.lower()}"
        yield NeuronExample(name, kinds.RunningMeanSpiking(base), scale=16.0, exact=False)
    yield NeuronExample("running-mean-leaky-cap", kinds.RunningMeanSpiking(leaky, 1.0, 2))
    tanh = kinds.RunningMeanSpiking(kinds.Tanh(1.0), max_spikes_per_step=1)
    yield NeuronExample("running-mean-tanh-cap", tanh, scale=16.0, exact=False)
    yield NeuronExample("stochastic-leaky", kinds.StochasticSpiking(leaky))
    yield NeuronExample(
        "stochastic-relu", kinds.StochasticSpiking(kinds.RectifiedLinear(2.0), 0.5), scale=4.0
    )
    yield NeuronExample("poisson-leaky", kinds.PoissonSpiking(leaky), exact=False)
    many = kinds.PoissonSpiking(
        kinds.RectifiedLinear(2.0)
    )  # means far above what one inversion reaches
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
    yield TransformExample("dense", maps.Dense(some((5, 9))), (9,))
    yield TransformExample("dense-single", maps.Dense(some((5, 9)).astype(np.float32)), (9,))
    yield TransformExample("dense-rows", maps.Dense(some((3, 6))), IMAGE)
    uneven = some((4, 9)) * np.array([[1e-6], [1.0], [1e3], [0.0]])
    yield TransformExample("dense-uneven-channels", maps.Dense(uneven), (9,))
    yield TransformExample("scale", maps.Scale(np.array(-1.75)), IMAGE)
    yield TransformExample("scale-channels", maps.Scale(some((4, 1, 1))), IMAGE)
    yield TransformExample("scale-each", maps.Scale(some(IMAGE)), IMAGE)
    rows, columns = rng.integers(0, 6, 25), rng.integers(0, 168, 25)
    rows[:3], columns[:3] = 2, 7  # entries that meet add up
    yield TransformExample("sparse", maps.Sparse(rows, columns, some(25), (2, 3), 168), IMAGE)
    yield TransformExample("sparse-empty", maps.Sparse([], [], [], (3,), 4), (4,))
    yield TransformExample("axis-first", maps.AxisMap(some((3, 4)), 0), IMAGE)
    yield TransformExample("axis-middle", maps.AxisMap(some((9, 7)), 1), IMAGE)


def _windowed(rng: np.random.Generator) -> Iterator[TransformExample]:
    some = rng.standard_normal
    none, edges, ones = ((0, 0), (0, 0)), ((1, 0), (2, 1)), (1, 1)
    last = (*IMAGE[1:], IMAGE[0])
    plain = maps.Convolution(some((5, 4, 3, 2)), ones, none, ones)
    yield TransformExample("convolution", plain, IMAGE)
    odd = maps.Convolution(some((5, 4, 3, 2)), (2, 3), edges, (1, 2))
    yield TransformExample("convolution-strided-padded-dilated", odd, IMAGE)
    kernel = some((3, 4, 2, 3)).astype(np.float32)
    yield TransformExample(
        "convolution-last", maps.Convolution(kernel, ones, edges, ones, channels_last=True), last
    )
    grouped = maps.Convolution(some((6, 2, 2, 2)), ones, none, ones, groups=2)
    yield TransformExample("convolution-grouped", grouped, IMAGE)
    depthwise = maps.Convolution(some((4, 1, 3, 3)), ones, ((1, 1), (1, 1)), ones, groups=4)
    yield TransformExample("convolution-depthwise", depthwise, IMAGE)
    multiplied = maps.Convolution(some((8, 1, 2, 2)), ones, none, ones, groups=4)
    yield TransformExample("convolution-depthwise-multiplied", multiplied, IMAGE)
    line = maps.Convolution(some((3, 2, 4)), (2,), ((1, 2),), (1,))
    yield TransformExample("convolution-1d", line, (2, 9))
    volume = maps.Convolution(some((2, 2, 2, 1, 2)), (1, 1, 2), ((0, 0),) * 3, (1, 1, 1))
    yield TransformExample("convolution-3d", volume, (2, 3, 4, 5))
    square = Windows((2, 2), (2, 2), none, ones)
    yield TransformExample("sum-pool", maps.SumPool(square, np.array(0.25)), IMAGE)
    partial = Windows((3, 2), (2, 1), edges, (1, 1), ceil_mode=True)
    extent = partial.output_extent(IMAGE[1:])
    yield TransformExample("sum-pool-each", maps.SumPool(partial, some(extent)), IMAGE)
    yield TransformExample("sum-pool-last", maps.SumPool(square, np.array(1.5), True), last)


def _transposed() -> Iterator[TransformExample]:
    """Transposed convolutions in Nengo's words, as a connection makes them."""
    forms: dict[str, maps.ConvolutionTranspose] = {
        "convolution-transpose": maps.ConvolutionTranspose(3, (4, 3, 2)),
        "convolution-transpose-same": maps.ConvolutionTranspose(
            4, (2, 3, 4), (4, 6, 10), (3, 4), (2, 3), "same", channels_last=False, groups=2
        ),
        "convolution-transpose-line": maps.ConvolutionTranspose(
            2, (5, 3), (10, 2), (1,), (2,), "same"
        ),
    }
    for name, form in forms.items():
        yield TransformExample(name, form.made(np.random.default_rng(4)), (form.size_in,))


def _layout(rng: np.random.Generator) -> Iterator[TransformExample]:
    yield TransformExample("reshape", maps.Reshape((6, 28)), IMAGE)
    yield TransformExample("permute", maps.Permute((2, 0, 1)), IMAGE)
    yield TransformExample("slice", maps.Slice(((0, 4, 2), (2, 7, 1), (5, 6, 1))), IMAGE)
    place = maps.Place(((1, 9, 2), (0, 7, 1), (3, 9, 1)), (9, 8, 9))
    yield TransformExample("place", place, IMAGE)
    yield TransformExample("take", maps.Take(np.array([6, 0, 0, 3, 1]), 1), IMAGE)
    yield TransformExample("take-first", maps.Take(np.array([2]), 0), IMAGE)
    weighted = maps.Dense(rng.standard_normal((3, 168)))
    chain = maps.Chain((maps.Permute((1, 2, 0)), maps.Reshape((168,)), weighted))
    yield TransformExample("chain", chain, IMAGE)
    nested = maps.Chain(
        (maps.Chain((maps.Reshape((24, 7)),)), maps.AxisMap(rng.standard_normal((2, 7)), 1))
    )
    yield TransformExample("chain-nested", nested, IMAGE)
    yield TransformExample("chain-empty", maps.Chain(()), IMAGE)


VALUES = 3
"""The number of values that the examples filter."""


@dataclass(frozen=True)
class Depressing(Synapse):
    """Resources that values use up and that recover: `y = r x`, `r += dt (1 - r) / tau - u r x`."""

    tau: float = 0.05
    used: float = 0.25

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> dict[str, NDArray]:
        return {"resources": np.ones(shape_out)}

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: Any
    ) -> Any:
        left = state["resources"]

        def step(t: float, x: NDArray) -> NDArray:
            sent = np.clip(x, 0.0, 1.0) * left
            left[...] += dt * (1.0 - left) / self.tau - self.used * sent
            return sent

        return step


@dataclass(frozen=True)
class Unreliable(Synapse):
    """Each value arrives with the probability of a half, one draw a value and step."""

    seed: int | None = 3

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: Any
    ) -> Any:
        return lambda t, x: x * (rng.random(shape_out) < 0.5) + t


def delivered_synapse_examples() -> list[SynapseExample]:
    """Synapses of `VALUES` values, for steps of a millisecond."""
    return [
        SynapseExample("lowpass-each", Lowpass(np.array([0.002, 0.0, 0.02]))),
        SynapseExample("alpha-each", Alpha(np.array([0.002, 0.0, 0.01]))),
        SynapseExample("depressing", Depressing()),
        SynapseExample("unreliable", Unreliable()),
    ]
