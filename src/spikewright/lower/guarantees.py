"""The guarantee of each layer's form in the network, and the text of the trace about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import CURVES
from spikewright.graph.layers import Activation, Layer, ParametricReLU
from spikewright.graph.ranges import ValueRange
from spikewright.lower.choices import STEP, rounded, seconds_until_exact, unrounded
from spikewright.lower.node_functions import ROUND, is_function
from spikewright.lower.trace import Status, exact_after
from spikewright.network import Ensemble, NodeFunction
from spikewright.network.neurons import NUMPY_NEURONS, Elementwise, NeuronType
from spikewright.network.node_functions import Elementwise as Curve
from spikewright.network.node_functions import MaxPool, PythonCall, ReduceMax
from spikewright.network.synapses import Synapse

_ROUNDING = (
    1e-6  # of the value, or of 1 where that is more: formulas of one curve differ by rounding
)
_CLEAR = 0.1  # of the larger value: a difference that is worth showing
_PLAIN = (1.0, 2.0, 5.0, 10.0, 0.5, 0.1, 20.0, 50.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Disagreement:
    """A current at which the output of neurons is not the layer's value."""

    current: float
    value: float
    answer: float

    def __str__(self) -> str:
        return f"{self.answer:.3g} for {self.value:.3g} at a current of {self.current:.3g}"


def find_disagreement(
    layer: Layer, neuron_type: NeuronType, reach: ValueRange, scale: float = 1.0
) -> Disagreement | None:
    """A steady current at which the response of neurons differs from a layer's value.

    None where they are equal for all currents in `reach` with a value of the layer. For a layer
    that is a node's function the current is the value itself. `scale` is the firing-rate scale.
    """
    points = reach.points()
    current = points.reshape(-1, *(1,) * _rank(layer))
    value = current if is_function(layer) else _value(layer.evaluate, current)
    answer = _value(lambda j: _response(neuron_type, j, scale), current)
    shape = np.broadcast_shapes(value.shape, answer.shape)
    value, answer = (np.broadcast_to(v, shape).reshape(len(points), -1) for v in (value, answer))
    with np.errstate(invalid="ignore"):
        size = np.maximum(np.abs(value), np.abs(answer))
        off = np.isfinite(value) & ~(np.abs(answer - value) <= _ROUNDING * np.maximum(size, 1.0))
        shows = off & ~(np.abs(answer - value) <= _CLEAR * size)
    if not off.any():
        return None
    row, column = _plainest(points, shows if shows.any() else off)
    return Disagreement(float(points[row]), float(value[row, column]), float(answer[row, column]))


def _rank(layer: Layer) -> int:
    """Axes of a layer's own parameters, one current for all of them."""
    return layer.slope.ndim if isinstance(layer, ParametricReLU) else 0


def _response(neuron_type: NeuronType, current: NDArray, scale: float) -> NDArray:
    """The mean output at a steady current, amplitude and scale included."""
    gain = scale if neuron_type.scaling == "skewed" else 1.0
    rates = np.asarray(neuron_type.rates(NUMPY_NEURONS, gain * current), np.float64)
    return rates * (neuron_type.amplitude / gain)


def _value(function: Callable[[NDArray], NDArray], current: NDArray) -> NDArray:
    with np.errstate(all="ignore"):  # outside its domain a function is NaN, or infinite
        return np.asarray(function(current), np.float64)


def _plainest(points: NDArray, where: NDArray) -> tuple[int, int]:
    """The simplest of the currents for a message, and a neuron that has it."""
    for plain in _PLAIN:
        for current in (plain, -plain):
            near = np.flatnonzero(np.isclose(points, current, rtol=1e-9) & where.any(axis=1))
            if near.size:
                return int(near[0]), int(np.argmax(where[near[0]]))
    row = int(np.flatnonzero(where.any(axis=1))[0])
    return row, int(np.argmax(where[row]))


_OF_MEANS = "mean is f of the inputs' means"
_OF_DIGITS = "f of the digits known so far: of the rounded values once all are known"
_NEAREST = "mean is the rounded mean of its input, save where rounding jumps"


@dataclass(frozen=True)
class LayerGuarantee:
    """What the trace says of one layer: its form, its guarantee, and `why` in a few words.

    `doubt` is a warning for the user, where neurons chosen by hand do not compute the layer.
    """

    layer: str
    text: str
    status: Status
    why: str = ""
    doubt: str = ""


def population_guarantee(
    name: str,
    layer: Layer,
    ensemble: Ensemble,
    synapse: Synapse | None,
    reach: ValueRange,
    behind: str = "",
) -> LayerGuarantee:
    """The guarantee of an activation's or function's neurons; `behind` describes their source.

    `synapse` filters the neurons' output; `reach` is the range of the activation's input, or of the
    function's value.
    """
    neuron_type, scale = ensemble.neuron_type, ensemble.rate_scale
    kind = _named(neuron_type)
    apart = find_disagreement(layer, neuron_type, reach, float(scale.max()))
    rounds = rounded(layer) if neuron_type.spiking and apart is not None else None
    if rounds is not None:
        apart = find_disagreement(unrounded(layer), neuron_type, reach, float(scale.max()))
    doubt = "" if apart is None else f"{kind} neurons do not compute {_source(layer)}: {apart}"
    text, leaving = f"{behind}{ensemble.n_neurons} {kind} neurons", synapse or "no synapse"
    if not neuron_type.spiking:
        status, why = _rates(neuron_type, apart, synapse)
        text = text if synapse is None else f"{text}, {leaving}"
        return LayerGuarantee(
            name, text if status == "exact" else f"{text}: {why}", status, why, doubt
        )
    scale_text = f"{float(scale):g}" if scale.ndim == 0 else f"{scale.min():g}..{scale.max():g}"
    where = "gain" if neuron_type.scaling in ("gain", "skewed") else "spiking"
    status, why = _spikes(layer, neuron_type, apart)
    if rounds is not None and status == "convergent":
        status, why = _rounded(rounds, ensemble, synapse)
    sent = behind and status == "convergent"
    held = f"start {_start(ensemble)}, {leaving}"
    text = f"{text}, {where} x {scale_text}, spike height / {scale_text}, {held}: {why}"
    return LayerGuarantee(name, text, status, _OF_MEANS if sent else why, doubt)


def _start(ensemble: Ensemble) -> str:
    """The voltage before the first step, in words."""
    start = ensemble.initial_voltage
    if not isinstance(start, np.ndarray):
        return str(start)
    low, high = float(np.min(start)), float(np.max(start))
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"


def _source(layer: Layer) -> str:
    """The values that neurons stand for, in words."""
    if is_function(layer):
        return "the values behind them"
    return layer.function if isinstance(layer, Activation) else layer.kind


def _rates(
    neuron_type: NeuronType, apart: Disagreement | None, synapse: Synapse | None
) -> tuple[Status, str]:
    """The guarantee of rate neurons for a layer, and the reason."""
    if apart is not None:
        return "approximated", f"they answer {apart}"
    if neuron_type.initial_values():
        return "approximated", "what they answer changes with time"
    if synapse is not None:
        return "convergent", "rate neurons answer what the layer does, and the synapse delays it"
    return "exact", "rate neurons answer what the layer does"


def _spikes(
    layer: Layer, neuron_type: NeuronType, apart: Disagreement | None
) -> tuple[Status, str]:
    """The guarantee of a spiking type for an activation or a function's value, and the reason."""
    back = "; sends negative spikes" if neuron_type.takes_back else ""
    if heights := neuron_type.spike_heights:
        worth = ", ".join(map(str, heights))
        back += (
            f"; spikes of the first {len(heights)} steps are worth {worth}, and all comes at once"
        )
    if taken := neuron_type.assumed:
        back += f"; {'one is' if taken == 1 else f'{taken} are'} taken as sent in the first step"
    if apart is not None:
        return "approximated", f"they answer {apart}"
    if not neuron_type.rate_consistent:
        why = neuron_type.nonconvergence_reason
        return "approximated", "it holds on average alone" if neuron_type.stochastic else why
    if neuron_type.integer_charge:
        return "approximated", "charge is rounded to a whole number at every step"
    if neuron_type.sends_digits:
        steps, most = len(neuron_type.spike_heights), sum(neuron_type.spike_heights)
        return "approximated", f"signed digits of {steps} steps: whole units up to {most}"
    if neuron_type.most_spikes is not None:
        cap = neuron_type.most_spikes
        spikes = "1 spike" if cap == 1 else f"{cap} spikes"
        return "approximated", f"at most {spikes} a step, larger values clip{back}"
    if neuron_type.scaling == "gain":
        return "convergent", f"mean tends to the source's{back}"
    return "convergent", f"mean tends to f of the mean current{_exception(layer)}"


def _exception(layer: Layer) -> str:
    """The values near which the mean of a curve tends to it more slowly, in words."""
    if not isinstance(layer, Activation) or not layer.elementwise:
        return ""
    curve = CURVES[layer.function]
    if curve.jumps:
        return ", save where f jumps"
    order = curve.order_with(layer.parameters)
    if order == 0:
        return ", save at 0"
    return "" if order == 1 else f", at 0 with its error to the power {order:g}"


def _rounded(layer: Activation, ensemble: Ensemble, synapse: Synapse | None) -> tuple[Status, str]:
    """The guarantee of spikes for a layer that rounds by itself, and the reason."""
    seconds = seconds_until_exact(layer, ensemble) if synapse is None else None
    status = None if seconds is None else exact_after(seconds)
    if status is None:
        return "approximated", "mean tends to the values before they are rounded"
    after = f"{status.removeprefix('exact ')} of {STEP * 1000:g} ms"
    return (
        status,
        f"sends negative spikes; {after}, and no others, it has sent what the layer rounds to",
    )


def linear_guarantee(name: str, part_of: str | None = None) -> LayerGuarantee:
    """The guarantee of a linear layer: connections, directly into a population that reads it."""
    where = "" if part_of is None else f", straight into {part_of}"
    why = "linear: acts on spikes as they are"
    return LayerGuarantee(name, f"{why}{where}", "exact", why)


def function_guarantee(name: str, function: NodeFunction, digits: bool = False) -> LayerGuarantee:
    """The guarantee of a layer that a node's function computes, from `digits` or rates."""
    if isinstance(function, PythonCall):
        return _python_guarantee(name, function)
    largest = isinstance(function, MaxPool | ReduceMax)
    rounds = isinstance(function, Curve) and function.function == ROUND
    if not function.accumulate:
        what = "maximum of its inputs" if largest else "computed"
        what = "rounded without spikes" if rounds else what
        return LayerGuarantee(name, f"{what} at every step", "exact", f"{what} at every step")
    if digits:
        return LayerGuarantee(name, _OF_DIGITS, "approximated", _OF_DIGITS)
    why = "mean is the maximum of the inputs' means" if largest else _OF_MEANS
    if rounds:
        return LayerGuarantee(
            name, f"rounds without spikes: {_sent(function)}", "convergent", _NEAREST
        )
    return LayerGuarantee(name, _sent(function), "convergent", why)


def _python_guarantee(name: str, function: PythonCall) -> LayerGuarantee:
    """The guarantee of Python code: only its outputs are known, and no file holds it."""
    what = f"Python code of the source: calls {function.called}"
    if not function.accumulate:
        return LayerGuarantee(name, f"{what} at every step; no file holds it", "exact", what)
    text = f"{what} with the running means, so its mean is f of them where f is continuous"
    return LayerGuarantee(name, f"{text}; no file holds it", "approximated", what)


def behind_function(function: NodeFunction, digits: bool = False) -> str:
    """The text before a population's own, which carries a function's value: digits or rates."""
    if digits and function.accumulate:
        return f"passes on {_OF_DIGITS}; behind it "
    return f"{_sent(function)}; behind it " if function.accumulate else "computed at every step; "


def _sent(function: NodeFunction) -> str:
    if isinstance(function, MaxPool | ReduceMax):
        return (
            "passes on the increase of the largest running sum, so its mean is the maximum of "
            "the inputs' means"
        )
    if function.homogeneous:
        return "passes on the increase of f of the running sums, so its mean is f of the means"
    return "passes on t f(m_t) - (t-1) f(m_(t-1)) of the running means, so its mean is f of them"


def _named(neuron_type: NeuronType) -> str:
    """A type's name, with its function or base type if it has one."""
    kind = type(neuron_type).__name__
    if isinstance(neuron_type, Elementwise):
        return f"{kind} {neuron_type.function}"
    base = getattr(neuron_type, "base_type", None)
    return f"{kind} {base.function}" if isinstance(base, Elementwise) else kind
