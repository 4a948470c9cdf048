"""Silent steps of layers that send digits: found by what comes too late, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.collect import Batch
from spikewright.graph import evaluate_all
from spikewright.lower.choices import STEP
from spikewright.lower.populations import Roles
from spikewright.measure import Run
from spikewright.network import Ensemble
from spikewright.running.converted import Converted
from spikewright.running.run import run_of
from spikewright.running.runner import Runner
from spikewright.running.still import rounded

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
    """Values of a layer's activation as its digits say them: whole units, as far as they reach."""
    unit, most = digit_unit(ensemble), float(sum(ensemble.neuron_type.spike_heights))
    found: NDArray = np.clip(np.floor(values / unit + 0.5), -most, most) * unit
    return found


class DigitsCompared:
    """A network of digits beside its source and its twin, which stay while it is arranged anew.

    Distances are root mean squares over all outputs. `twin` is that of the rounded twin's outputs
    from the source's.
    """

    def __init__(self, conversion: Converted, samples: Batch) -> None:
        graph, times = conversion.canonical, conversion.lowered.times
        assert times is not None
        self._conversion, self._samples = conversion, samples
        self._places = dict(zip(graph.outputs, Roles(graph).read_from(), strict=True))
        exact, twin = evaluate_all(graph, samples), rounded(conversion.lowered, times.steps)
        assert twin is not None
        self._exact = {place: exact[place] for place in self._places.values()}
        self.twin = self._distance(run_of(Runner(twin), samples, 1, STEP * times.steps, 0))

    def distance(self) -> tuple[float, Mapping[str, NDArray]]:
        """The distance of a run's outputs from the source's, and the mean values of layers."""
        run = run_of(Runner(self._conversion.lowered), self._samples, None, STEP, 0)
        return self._distance(run), run.layer_means()

    def _distance(self, run: Run) -> float:
        apart = [
            np.square(value.mean(axis=1, dtype=np.float64) - self._exact[self._places[name]])
            for name, value in run.raw.items()
        ]
        return float(np.sqrt(np.concatenate([squares.ravel() for squares in apart]).mean()))

    def late(self, sent: Mapping[str, NDArray]) -> dict[str, float]:
        """The share of each layer's neurons that did not say the digits of what they were sent."""
        populations, found = self._conversion.populations(), dict[str, float]()

        def passed_on(name: str, value: NDArray) -> NDArray:
            if name not in populations:
                return value
            apart = np.abs(rounded_to_digits(populations[name], value) - sent[name])
            found[name] = float(np.mean(apart > 0.5 * digit_unit(populations[name])))
            return sent[name]

        evaluate_all(self._conversion.canonical, self._samples, passed_on)
        return found


def found_silent_steps(
    conversion: Converted, arrange: Callable[[Mapping[str, int]], None], most: int, samples: Batch
) -> dict[str, int]:
    """Silent steps of each layer, at most `most`; `arrange` gives them to the network.

    All begin with one. One more is given, again and again, to the layer of which most neurons are
    late on the samples, until the network is about as close to its source as its twin; in networks
    of many layers to several at once.
    """
    few = {name: array[:_MEASURED] for name, array in samples.items()}
    silent, compared = dict.fromkeys(conversion.populations(), 1), DigitsCompared(conversion, few)
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
