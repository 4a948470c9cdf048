"""The primitives of NIR as forms of this project: one reader a primitive, by its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.exchange.nir.dialects import Semantics
from spikewright.exchange.nir.maps import by_channel
from spikewright.exchange.nir.reading import NodeRecord, NoForm
from spikewright.network import transforms as t
from spikewright.network.neurons import DiscreteLI, DiscreteLIF, IntegrateAndFire, NeuronType
from spikewright.network.transforms import Shape


@dataclass(frozen=True)
class Time:
    """Steps of `dt`, in the file's unit, and of so many seconds; None as the reset: as nodes state.

    Values decay, and currents add to them, by the `rule` of some reader.
    """

    dt: float
    reset: str | None
    rule: Semantics
    seconds: float

    def resets(self, node: NodeRecord) -> str:
        """The reset of a node: "zero" or "subtract"."""
        return self.reset or ("subtract" if node.stated("reset") == "subtract" else "zero")

    def decay(self, tau: NDArray) -> NDArray:
        """The part that is left of a state after a step, of time constants above 0."""
        return self.rule.left(tau, self.dt)


@dataclass(frozen=True, eq=False)
class LinearForm:
    """A chain of transforms, and a constant that broadcasts to its image."""

    chain: tuple[t.Transform, ...] = ()
    bias: NDArray | None = None

    def fitted(self, shape: Shape) -> tuple[tuple[t.Transform, ...], Shape]:
        """The chain for arrays of a shape, flattened where weights take a vector; its image."""
        made: list[t.Transform] = []
        for part in self.chain:
            count = part.matrix.shape[1] if isinstance(part, t.Dense) else None
            if len(shape) > 1 and shape[-1] != count == math.prod(shape):
                shape = (count,)
                made.append(t.Reshape(shape))
            shape = part.output_shape(shape)
            made.append(part)
        return tuple(made), shape


@dataclass(frozen=True, eq=False)
class PopulationForm:
    """A population: its type, `J = gain x + bias`, and where its voltage starts, in thresholds.

    `rate_scale` makes a current of the file's unit of time one of seconds.
    """

    neuron_type: NeuronType
    gain: NDArray
    bias: NDArray
    start: NDArray
    shape: Shape
    rate_scale: float = 1.0


PopulationForms = tuple[PopulationForm, ...]
"""Populations one behind the other; the last one is the node's output."""


@dataclass(frozen=True, eq=False)
class Delayed:
    """A delay in steps, one number or one a value."""

    steps: NDArray


@dataclass(frozen=True)
class PortForm:
    """An input or an output of a shape, or a plain junction."""

    shape: Shape


Form = LinearForm | PopulationForms | Delayed | PortForm
Reader = Callable[[NodeRecord, Shape, Time], Form]


def _end(node: NodeRecord, shape: Shape, time: Time) -> Form:
    return PortForm(node.shape("shape"))


def _affine(node: NodeRecord, shape: Shape, time: Time) -> Form:
    bias = node.array("bias")
    (transform,) = _matrix(node)
    if bias.shape not in ((), transform.output_shape((transform.matrix.shape[1],))):
        raise node.wrong(f"has a bias of shape {bias.shape} for weights {transform.matrix.shape}")
    return LinearForm((transform,), bias)


def _linear(node: NodeRecord, shape: Shape, time: Time) -> Form:
    return LinearForm(_matrix(node))


def _matrix(node: NodeRecord) -> tuple[t.Dense]:
    weight = node.array("weight")
    if weight.ndim > 2:
        raise NoForm(
            f"its weights have {weight.ndim} axes: several matrices side by side",
            "Give one node each",
        )
    if weight.ndim != 2:
        raise node.wrong(f"has weights of shape {weight.shape}, which are no matrix")
    return (t.Dense(weight),)


def _scale(node: NodeRecord, shape: Shape, time: Time) -> Form:
    return LinearForm((t.Scale(node.array("scale")),))


def _convolution(node: NodeRecord, shape: Shape, time: Time) -> Form:
    rank = int(node.kind[-2])
    weight = node.array("weight")
    if weight.ndim != rank + 2:
        raise node.wrong(f"has weights of shape {weight.shape}")
    stride = node.whole("stride", rank, 1)
    dilation = node.whole("dilation", rank, 1)
    (groups,) = node.whole("groups", 1, 1)
    if not (groups and all(stride) and all(dilation)):
        raise node.wrong("has a stride, a dilation or a number of groups of 0")
    pads = _padding(node, weight.shape[2:], stride, dilation)
    bias = node.array("bias", 0.0)
    if bias.shape not in ((), (len(weight),)):
        raise node.wrong(f"has a bias of shape {bias.shape} for weights {weight.shape}")
    each = bias.reshape(-1, *(1,) * rank) if bias.ndim else bias
    return LinearForm((t.Convolution(weight, stride, pads, dilation, groups),), each)


def _padding(
    node: NodeRecord, size: Shape, stride: Shape, dilation: Shape
) -> tuple[tuple[int, int], ...]:
    """Zeros before and after; "same" gives as many outputs as inputs, the odd zero behind."""
    named = node.text("padding")
    if named is None:
        return tuple((p, p) for p in node.whole("padding", len(size), 0))
    if named == "valid":
        return ((0, 0),) * len(size)
    if named != "same":
        raise node.wrong(f"has a padding of {named!r}")
    if set(stride) != {1}:
        raise NoForm(
            'padding "same" with a stride above 1 means different zeros to every reader',
            "Write the padding as numbers",
        )
    totals = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _sum_pool(node: NodeRecord, shape: Shape, time: Time) -> Form:
    return LinearForm((t.SumPool(_windows(node)),))


def _average_pool(node: NodeRecord, shape: Shape, time: Time) -> Form:
    windows = _windows(node)
    return LinearForm((t.SumPool(windows, np.asarray(1.0 / math.prod(windows.size))),))


def _windows(node: NodeRecord) -> Windows:
    size = node.whole("kernel_size", 2)
    stride = node.whole("stride", 2)
    if not all((*size, *stride)):
        raise node.wrong("has a window or a stride of 0")
    return Windows(size, stride, tuple((p, p) for p in node.whole("padding", 2, 0)))


def _flatten(node: NodeRecord, shape: Shape, time: Time) -> Form:
    first, last = (int(node.array(n, d)) for n, d in (("start_dim", 1), ("end_dim", -1)))
    axes = range(len(shape))
    if not (-len(shape) <= first <= len(shape) and -len(shape) - 1 <= last < len(shape) + 1):
        raise node.wrong(f"flattens axes {first} to {last} of an array of shape {shape}")
    first, last = first % max(len(shape), 1), min(last % len(shape), axes[-1])
    merged = math.prod(shape[first : last + 1])
    return LinearForm((t.Reshape((*shape[:first], merged, *shape[last + 1 :])),))


_LONGEST_DELAY = 2**31


def _delay(node: NodeRecord, shape: Shape, time: Time) -> Form:
    delay = node.numbers("delay")
    steps = np.round(delay / time.dt)
    if np.any(delay < 0) or np.any(steps > _LONGEST_DELAY):
        raise node.wrong(f"has a delay below 0, or of more than {_LONGEST_DELAY} steps")
    return Delayed(steps)


def _threshold(node: NodeRecord, shape: Shape, time: Time) -> Form:
    """A spike where the input is above the threshold, in every step: nothing is left of a step."""
    threshold = node.numbers("threshold")
    kind = DiscreteLIF(np.zeros(()), amplitude=time.seconds)
    return _one(node, kind, np.ones(()), 1.0 - threshold, threshold.shape)


def _integrator(node: NodeRecord, shape: Shape, time: Time) -> Form:
    r = node.numbers("r")
    return _one(node, DiscreteLI(np.ones(())), r * time.dt, np.zeros(()), r.shape)


def _spiking(node: NodeRecord, shape: Shape, time: Time) -> Form:
    r, threshold = node.same_shape("r", "v_threshold")
    reset = _reset(node, threshold, time)
    gain = r / threshold
    if reset is not None:
        hard = DiscreteLIF(np.ones(()), "zero", reset, amplitude=time.seconds)
        return _one(node, hard, gain * time.dt, np.zeros(()), r.shape, threshold)
    floor, cap = node.stated("voltage_floor"), node.stated("max_spikes")
    soft = IntegrateAndFire(
        time.dt, None if floor is None else float(floor), None if cap is None else int(cap)
    )
    (cell,) = _one(node, soft, gain, np.zeros(()), r.shape, threshold)
    return (replace(cell, rate_scale=time.dt / time.seconds),)


def _leaky(node: NodeRecord, shape: Shape, time: Time) -> Form:
    """`tau dv/dt = (v_leak - v) + r I`, exact for a constant `I`, in units of the threshold.

    Behind a synapse `I` is a population of its own.
    """
    behind, spiking = node.kind.startswith("Cuba"), node.kind.endswith("F")
    name = "tau_mem" if behind else "tau"
    tau, r, leak, *thresholds = node.same_shape(name, "r", "v_leak", *["v_threshold"] * spiking)
    decay = time.decay(_above_zero(node, name, tau))
    kind: NeuronType = DiscreteLI(_few(decay))
    threshold: NDArray | float = 1.0
    for threshold in thresholds:
        reset = _reset(node, threshold, time)
        how = {"reset": "subtract"} if reset is None else {"reset": "zero", "reset_voltage": reset}
        kind = DiscreteLIF(_few(decay), amplitude=time.seconds, **how)
    gain, bias = time.rule.gain(node.kind, r, decay) / threshold, (1 - decay) * leak / threshold
    membrane = _one(node, kind, gain, bias, tau.shape, threshold)
    return (_synapse(node, time, tau.shape), *membrane) if behind else membrane


def _synapse(node: NodeRecord, time: Time, shape: Shape) -> PopulationForm:
    """`tau_syn dI/dt = -I + w_in S`, exact for a constant `S`."""
    decay = time.decay(_above_zero(node, "tau_syn", node.numbers("tau_syn")))
    weight = node.numbers("w_in", 1.0)
    kind = DiscreteLI(_few(decay))
    gain = time.rule.gain(node.kind, weight, decay)
    return PopulationForm(kind, _few(gain), np.zeros(()), np.zeros(()), shape)


def _reset(node: NodeRecord, threshold: NDArray, time: Time) -> NDArray | None:
    """The voltage after a spike, in thresholds, or None where the threshold is subtracted."""
    if np.any(threshold <= 0):
        raise NoForm(
            f"it has {int(np.sum(threshold <= 0))} thresholds that are not above 0: such a neuron "
            "fires without input"
        )
    given = node.numbers("v_reset", 0.0)
    if given.shape not in ((), threshold.shape):
        raise node.wrong(f"has a v_reset of shape {given.shape} for thresholds {threshold.shape}")
    if time.resets(node) == "zero":
        if np.any(given > threshold):
            raise NoForm("it has a v_reset above its threshold: such a neuron never stops firing")
        return _few(given / threshold)
    if np.any(given):
        raise NoForm(
            "it has a v_reset other than 0, and a reset by subtraction has none", 'Use reset="zero"'
        )
    return None


def _above_zero(node: NodeRecord, name: str, tau: NDArray) -> NDArray:
    if np.any(tau <= 0):
        raise node.wrong(f"has a {name} that is not above 0")
    return tau


def _one(
    node: NodeRecord,
    kind: NeuronType,
    gain: NDArray,
    bias: NDArray,
    shape: Shape,
    threshold: NDArray | float = 1.0,
) -> PopulationForms:
    """One population, which starts where the node's metadata say, or at 0."""
    given = node.stated("v_init")
    start = np.asarray(0.0 if given is None else given, np.float64) / threshold
    if start.shape not in ((), shape) or not np.all(np.isfinite(start)):
        raise node.wrong(f"states a v_init of shape {start.shape} for neurons {shape}")
    return (PopulationForm(kind, _few(gain), _few(bias), _few(start), shape),)


def _few(values: NDArray) -> NDArray:
    """One value where all are equal, else one a channel where they are, else all."""
    if values.size and np.all(values == values.flat[0]):
        return np.asarray(values.flat[0])
    if values.ndim > 1:
        each = by_channel(values, values.shape)
        if each is not None:
            return each.reshape(-1, *(1,) * (values.ndim - 1))
    return values


READERS: dict[str, Reader] = {
    "Input": _end,
    "Output": _end,
    "Affine": _affine,
    "Linear": _linear,
    "Scale": _scale,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "SumPool2d": _sum_pool,
    "AvgPool2d": _average_pool,
    "Flatten": _flatten,
    "Delay": _delay,
    "Threshold": _threshold,
    "I": _integrator,
    "IF": _spiking,
    "LI": _leaky,
    "LIF": _leaky,
    "CubaLI": _leaky,
    "CubaLIF": _leaky,
}
"""The reader of every primitive, by its name: `reader(node, shape, time)`, shape of the input."""
