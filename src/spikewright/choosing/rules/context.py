"""What a scale rule may look at: graphs, settings of neurons, statistics; and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.histogram import Histogram
from spikewright.choosing.statistics.sensitivity import above_rounding
from spikewright.choosing.statistics.statistics import LayerStatistics, Statistics
from spikewright.graph import Graph
from spikewright.measure.readout import EveryStep, kind_of

_EARLY = 2.0**-16  # spikes by which a neuron may fire early
_DRAWN = (0.125, 0.375, 0.625, 0.875)  # starts in the place of those drawn uniformly


@dataclass(frozen=True)
class SpikeQuantizer:
    """Rounds values to those that a neuron can send in `steps` steps at a constant input `a`.

    There is one threshold a channel. The mean value is a multiple of theta / steps of the sign of
    `a`, at most `cap` theta; None: no cap. `start` is in spikes; None: drawn uniformly.

    Spikes of the first steps have `heights`; then all of the input comes in the first step, in
    which receivers take `assumed` spikes as sent, so that it may send as many more. Their error is
    computed as if every whole number of spikes up to the most could be sent: thresholds computed
    from the coarser numbers that can be sent are too small, since spikes left over to correct late
    input are worth more (docs/few_steps.md has the measurements).
    """

    steps: float
    cap: float | None
    start: float | None
    heights: tuple[int, ...] = ()
    assumed: int = 0

    @property
    def most(self) -> float:
        """The largest mean value that can be sent, in thresholds."""
        return self._most / self.steps

    @property
    def _most(self) -> float:
        """The most that can be sent in all steps, in spikes."""
        if self.cap is None:
            return np.inf
        if not self.heights:
            return self.cap * self.steps
        return sum((self.cap + taken) * height for height, taken in self._by_step)

    @property
    def _by_step(self) -> list[tuple[int, int]]:
        """The worth of a spike and the number that is taken as sent, of every step."""
        steps = round(self.steps)
        heights = (*self.heights, *[1] * steps)[:steps]
        return [(height, 0 if step else self.assumed) for step, height in enumerate(heights)]

    def error(self, values: Histogram, thresholds: NDArray) -> NDArray:
        """`E[(sent - a)^2]` of each channel, `sent` the mean value."""
        unit, arrived = self._arrived(values, thresholds)
        if self.start is not None:
            return values.squared_error(unit * self._counts(arrived))
        below = np.floor(arrived)
        share = arrived - below  # how often the uniform start makes it one spike more
        low, high = (self._within(below + extra) * unit for extra in (0, 1))
        squared = (1 - share) * (values.means - low) ** 2 + share * (values.means - high) ** 2
        return values.expectation(squared + values.spreads)

    def spikes(self, values: Histogram, thresholds: NDArray) -> NDArray:
        """The mean number of spikes of each channel's neurons, of either sign."""
        _, arrived = self._arrived(values, thresholds)
        if self.heights:
            starts = _DRAWN if self.start is None else (self.start,)
            spikes = sum(self._spikes_of_heights(arrived, start) for start in starts)
            return values.expectation(np.asarray(spikes) / len(starts))
        return values.expectation(np.abs(self._counts(arrived)))

    def _arrived(self, values: Histogram, thresholds: NDArray) -> tuple[NDArray, NDArray]:
        """The share of a spike in the mean, and the number of spikes that arrive, for every bin."""
        unit = np.where(thresholds > 0, thresholds, 1.0)[values.channel] / self.steps
        return unit, values.means / unit

    def _counts(self, arrived: NDArray) -> NDArray:
        """The spikes that stand for what arrived, as many as can be sent.

        From a known start they are whole ones.
        """
        known = arrived if self.start is None else np.floor(arrived + self.start + _EARLY)
        return self._within(known)

    def _spikes_of_heights(self, arrived: NDArray, start: float) -> NDArray:
        """The number of spikes for input that comes all at once, step by step."""
        sent, spikes = np.zeros_like(arrived), np.zeros_like(arrived)
        for height, taken in self._by_step:
            owed = arrived + start - sent - 0.5
            counts = np.floor(owed / height + 0.5 + _EARLY)
            counts = np.maximum(counts, np.floor(0.5 - sent / height))
            if self.cap is not None:
                counts = np.clip(counts, taken - self.cap, self.cap + taken)
            sent, spikes = sent + counts * height, spikes + np.abs(counts - taken)
        return spikes

    def _within(self, counts: NDArray) -> NDArray:
        """Counts of either sign, as many as can be sent."""
        return np.clip(counts, -self._most, self._most)


@dataclass(frozen=True)
class NeuronConfig:
    """Facts about one layer's neurons that a rule may use.

    `cap` is the largest number of spikes in a step, or None. `start` is the voltage before the
    first step in spikes (0.5 makes flooring rounding), or None where it is drawn uniformly from
    [0, 1). `averages` gives the number of steps of dt seconds over which the layer's synapse
    averages. In the first steps spikes are worth `heights`, and in the first one receivers take
    `assumed` as sent.
    """

    cap: int | None = None
    start: float | None = 0.5
    averages: Callable[[float], float] = field(default=lambda dt: 1.0, repr=False)
    heights: tuple[int, ...] = ()
    assumed: int = 0

    def code(self, window: float, steps: float, cap: float | None) -> SpikeQuantizer:
        """The code of neurons in the last `window` of so many steps, `cap` of them a step."""
        heights = self.heights if window == steps else ()
        return SpikeQuantizer(window, cap, self.start, heights, self.assumed)

    def window(self, steps: int, dt: float, readout: EveryStep) -> float:
        """The number of steps, of `steps`, over which the readout averages.

        All of them where the mean is read out; where the last value is, as many as the synapse
        averages over. Raises `TypeError` for other readouts than those at every step.
        """
        kind = kind_of(readout)
        if kind is None:
            raise TypeError(f"{readout!r} is no readout")
        return max(steps - kind.left_out(steps, dt), min(float(steps), self.averages(dt)))


@dataclass(frozen=True, eq=False)
class RuleContext:
    """The layers that a rule is to choose scales for, `settings`, and all that it may look at.

    `graph` is the one that is lowered, `read` the model as it was read, batch normalisations and
    all; `outputs` names the nodes whose values are read out. `statistics` is None without data.
    """

    graph: Graph
    read: Graph
    settings: Mapping[str, NeuronConfig]
    outputs: tuple[str, ...]
    statistics: Statistics | None = None

    @cached_property
    def layers(self) -> dict[str, LayerStatistics]:
        """The statistics of each of these layers, as `layer` makes them, kept."""
        return {name: self.layer(name) for name in self.settings}

    def layer(self, name: str) -> LayerStatistics:
        """The statistics of one of these layers, with 0 for values below rounding errors.

        They are made anew each time. Raises `TypeError` where there is no data.
        """
        return above_rounding(self._known, self.graph, name)

    @property
    def examples(self) -> Mapping[str, NDArray]:
        """A few samples, `{input name: (samples, *shape)}`; raises `TypeError` without data."""
        return self._known.examples.values

    @property
    def _known(self) -> Statistics:
        if self.statistics is None:
            raise TypeError("a rule that looks at data needs statistics")
        return self.statistics


@dataclass(frozen=True, eq=False)
class ScaleChoice:
    """The firing-rate scale of one layer, a number or an array that broadcasts to its shape.

    `text` says how it was chosen; `doubtful` marks a choice that a user should look at.
    """

    scale: NDArray
    text: str
    doubtful: bool = False
