"""The search for the number of silent steps of each layer that sends digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.rows import PassedOn, RowsOfRun, rows_of_graph
from spikewright.choosing.statistics.collect import Batch
from spikewright.lower.choices import STEP
from spikewright.lower.populations import Roles
from spikewright.network import Ensemble
from spikewright.running.protocols import ConversionLike

MOST_APART = 1.1
"""The largest distance from the source that is good enough, in distances of the rounded twin."""
_MEASURED = 128  # samples
_TOGETHER = 16  # layers of which one is given a step at once


def digit_unit(ensemble: Ensemble) -> NDArray:
    """The value of a last digit, which broadcasts to the ensemble's shape."""
    kind = ensemble.neuron_type
    steps = len(kind.spike_heights)
    return np.asarray(kind.amplitude / (ensemble.rate_scale * (STEP * steps)))


def rounded_to_digits(ensemble: Ensemble, values: NDArray) -> NDArray:
    """Values of a layer's activation rounded to its digits: whole units, up to the largest."""
    unit, most = digit_unit(ensemble), float(sum(ensemble.neuron_type.spike_heights))
    found: NDArray = np.clip(np.floor(values / unit + 0.5), -most, most) * unit
    return found


def rounding(populations: Mapping[str, Ensemble]) -> PassedOn:
    """The values that readers of each layer get in the rounded twin, `(name, value)`."""

    def passed_on(name: str, value: NDArray) -> NDArray:
        layer = populations.get(name)
        return value if layer is None else rounded_to_digits(layer, value)

    return passed_on


class DigitComparison:
    """Compares a network of digits with its source and its rounded twin, for any silent steps.

    Distances are root mean squares over all outputs, of sequences in all rows. `twin` is that of
    the rounded twin's outputs from the source's.
    """

    def __init__(self, conversion: ConversionLike, samples: Batch) -> None:
        graph, twin = conversion.canonical, rounding(conversion.populations())
        self._conversion, self._samples = conversion, samples
        self._places = dict(zip(graph.outputs, Roles(graph).read_from(), strict=True))
        self._exact = self._outputs(rows_of_graph(conversion, samples))
        self.twin = self._distance(self._outputs(rows_of_graph(conversion, samples, twin)))

    def _outputs(self, rows: Sequence[Mapping[str, NDArray]]) -> dict[str, NDArray]:
        return {
            name: np.stack([row[place] for row in rows if place in row], axis=1)
            for name, place in self._places.items()
            if name in self._conversion.lowered.outputs
        }

    def distance(self) -> tuple[float, Mapping[str, NDArray]]:
        """The distance of a run's outputs from the source's, and the values of layers by row."""
        run = RowsOfRun(self._conversion, self._samples)
        return self._distance(run.outputs()), run.layers()

    def _distance(self, outputs: Mapping[str, NDArray]) -> float:
        apart = [
            np.square(outputs[name][:, -exact.shape[1] :] - exact)
            for name, exact in self._exact.items()
        ]
        return float(np.sqrt(np.concatenate([squares.ravel() for squares in apart]).mean()))

    def late(self, sent: Mapping[str, NDArray]) -> dict[str, float]:
        """The share of each layer's neurons that did not send the digits of what they received.

        Padding, NaN in `sent`, counts as sent.
        """
        populations = self._conversion.populations()
        rows = {name: iter(np.moveaxis(value, 1, 0)) for name, value in sent.items()}
        found: dict[str, list[float]] = {name: [] for name in populations}

        def passed_on(name: str, value: NDArray) -> NDArray:
            if name not in populations:
                return value
            sent_values, digits = next(rows[name]), rounded_to_digits(populations[name], value)
            sent_values = np.where(np.isnan(sent_values), digits, sent_values)
            apart = np.abs(digits - sent_values)
            found[name].append(float(np.mean(apart > 0.5 * digit_unit(populations[name]))))
            return sent_values

        rows_of_graph(self._conversion, self._samples, passed_on)
        return {name: float(np.mean(shares)) for name, shares in found.items()}


def find_silent_steps(
    conversion: ConversionLike,
    arrange: Callable[[Mapping[str, int]], None],
    most: int,
    samples: Batch,
) -> dict[str, int]:
    """Silent steps of each layer, at most `most`; `arrange` gives them to the network.

    All begin with one. One more is given, again and again, to the layer of which most neurons are
    late on the samples, until the network is about as close to its source as its twin; in networks
    of many layers to several at once.
    """
    few = {name: array[:_MEASURED] for name, array in samples.items()}
    silent, compared = dict.fromkeys(conversion.populations(), 1), DigitComparison(conversion, few)
    while True:
        arrange(silent)
        spiking, sent = compared.distance()
        if spiking <= MOST_APART * compared.twin:
            return silent
        late = compared.late(sent)
        waiting = [name for name, share in late.items() if share and silent[name] < most]
        if not waiting:
            return silent
        waiting.sort(key=lambda name: late[name], reverse=True)
        for name in waiting[: max(1, len(silent) // _TOGETHER)]:
            silent[name] += 1
