"""The whole numbers of one population: its threshold, its weights and its biases.

A weight is what a spike of its sender adds to its receiver, as a part of the receiver's threshold:
`w h / theta`, `h` the height of the sender's spikes. With a whole threshold `T` a weight of `k`
steps is `k 2^e / T` of a spike, so that a spike adds `k 2^e`. `T` is chosen such that `2^e / T` is
the best step for the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.whole_weights import best_steps, most, whole
from spikewright.network import Ensemble
from spikewright.network.neurons import FixedPointIntegrateAndFire
from spikewright.network.processes import EachStep
from spikewright.quantising.settings import Quantised

_FINE = 10  # bits of a threshold that nothing bounds
_FINE_MULTIPLES = 8  # of one that is a multiple of a power of two, beside that
_MOST_EXPONENT = 16
_ANY = (-60, 60)
_HEADROOM = 3  # bits of a state above a threshold that may be chosen freely


def few_bits(weights: NDArray, settings: Quantised) -> NDArray:
    """Weights `(out, ...)` as whole numbers of the best steps."""
    groups = weights.reshape(len(weights) if settings.per == "channel" else 1, -1)
    step = best_steps(groups, settings.bits)
    return (step * whole(groups / step, settings.bits)).reshape(weights.shape)


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A threshold, and the power of two of a weight's step: `(channels,)` each, or `(1,)`.

    Sums over values from outside may have steps of any power of two: a chip is given the sums.
    """

    threshold: NDArray
    exponent: NDArray
    settings: Quantised

    @classmethod
    def of(
        cls,
        spikes: Sequence[NDArray],
        outside: Sequence[NDArray],
        biases: Sequence[NDArray],
        settings: Quantised,
    ) -> FixedPoint:
        """The best for weights `(channels, ...)` and biases `(channels,)`, in spikes.

        `spikes` are the weights that spikes meet, `outside` those of values from outside.
        """
        lengths = {len(weights) for weights in (*spikes, *outside)}
        groups = lengths.pop() if settings.per == "channel" and len(lengths) == 1 else 1
        limit = _limits(_bound(biases, groups), settings)
        powers = (0, _MOST_EXPONENT if settings.exponents is None else settings.exponents)
        weights = [w.reshape(groups, -1) for w in spikes or outside]
        if not weights:
            power = np.floor(np.log2(_aim(limit, settings)))
            return cls(np.exp2(power) + settings.above, np.zeros(1), settings)
        step = best_steps(np.concatenate(weights, axis=1), settings.bits)[:, 0]
        return cls(*_threshold(step, limit, powers if spikes else _ANY, settings), settings)

    def weights(self, in_spikes: NDArray, outside: bool) -> NDArray:
        """Weights in spikes, rounded."""
        flat, exponent = in_spikes.reshape(len(in_spikes), -1), self.exponent
        if outside:
            best = best_steps(flat.reshape(len(self.threshold), -1), self.settings.bits)[:, 0]
            exponent = np.rint(np.log2(best * self.threshold))
        step = (2.0**exponent / self.threshold)[:, None]
        return (whole(flat / step, self.settings.bits) * step).reshape(in_spikes.shape)

    def bias(self, in_spikes: NDArray) -> NDArray:
        """Biases in spikes, rounded: whole numbers of the bits that there are."""
        return whole_biases(in_spikes * self.threshold, self.settings) / self.threshold


def whole_biases(numbers: NDArray, settings: Quantised) -> NDArray:
    """The biases of one layer as whole numbers of the bits that there are, or the nearest ones."""
    bits = settings.bias_bits
    if bits is None:
        return np.rint(numbers)
    largest = float(np.abs(numbers).max(initial=0.0))
    powers = np.arange(settings.bias_exponents + 1)
    fitting = powers[most(bits) * 2.0**powers >= largest]
    step = 2.0 ** (fitting[0] if len(fitting) else powers[-1])
    return whole(numbers / step, bits) * step


def whole_start(start: Any, threshold: NDArray) -> Any:
    """A start in spikes that is a whole number, halves down; one that is drawn stays as it is."""
    half = isinstance(start, str) and start == "half"
    if (half and np.all(threshold % 2 == 0)) or (isinstance(start, str) and not half):
        return start
    number = (0.5 if half else np.asarray(start, np.float64)) * threshold
    return np.ceil(number - 0.5) / threshold


def _bound(biases: Sequence[NDArray], groups: int) -> NDArray:
    """A bound of the sum of biases of any lengths, `(groups,)`."""
    total = np.zeros(groups)
    for bias in biases:
        size = np.abs(bias)
        total = total + (size if len(size) == groups else size.max())
    return total


def _limits(bias: NDArray, settings: Quantised) -> NDArray:
    """The largest thresholds that states, thresholds and biases have the bits for."""
    limit = np.full(bias.shape, 2.0**31)
    if settings.threshold_bits is not None:
        largest = (2.0**settings.threshold_bits - 1) * 2.0**settings.threshold_exponent
        limit = np.minimum(limit, largest)
    if settings.state_bits is not None:
        limit = np.minimum(limit, most(settings.state_bits))
    if settings.bias_bits is not None:
        largest = most(settings.bias_bits) * 2.0**settings.bias_exponents
        limit = np.minimum(limit, largest / np.maximum(bias, 2.0**-31 * largest))
    return np.maximum(limit, 1.0)


def _aim(limit: NDArray, settings: Quantised) -> NDArray:
    """The size of thresholds that may be chosen freely."""
    power = settings.threshold_exponent
    return np.minimum(2.0 ** max(_FINE, _FINE_MULTIPLES + power), limit / 2.0**_HEADROOM)


def _threshold(
    step: NDArray, limit: NDArray, powers: tuple[int, int], settings: Quantised
) -> tuple[NDArray, NDArray]:
    """Whole thresholds and exponents with about these steps, `2^exponent / threshold`."""
    multiple = 2.0**settings.threshold_exponent
    aim = np.maximum(_aim(limit, settings) * step, 2.0**-60)
    exponent = np.clip(np.floor(np.log2(aim)), *powers)
    most_multiples = np.maximum(np.floor((limit - settings.above) / multiple), 1)
    multiples = np.clip(np.rint(2.0**exponent / step / multiple), 1, most_multiples)
    return multiples * multiple + settings.above, exponent


def round_biases(populations: Iterable[Ensemble], settings: Quantised) -> None:
    """Round biases, and those of each step, to whole numbers of the bits that there are.

    Of the biases of each step the sums are rounded: so the charge that a step has brought is never
    a whole number away from what was asked for, but where bits bound it.
    """
    for ensemble in populations:
        kind = ensemble.neuron_type
        if not isinstance(kind, FixedPointIntegrateAndFire):
            continue
        unit = 1.0 / (ensemble.rate_scale * settings.dt * kind.threshold)
        always = whole_biases(np.asarray(ensemble.bias / unit), settings)
        ensemble.bias = always * unit
        if ensemble.step_biases is not None:
            sums = np.rint(np.cumsum(ensemble.step_biases, axis=0) / unit)
            each = np.diff(sums, axis=0, prepend=0.0)
            ensemble.noise = EachStep((whole_biases(always + each, settings) - always) * unit)


def round_starts(populations: Iterable[Ensemble]) -> None:
    """Round initial voltages to whole numbers."""
    for ensemble in populations:
        kind = ensemble.neuron_type
        if isinstance(kind, FixedPointIntegrateAndFire):
            ensemble.initial_voltage = whole_start(ensemble.initial_voltage, kind.threshold)
