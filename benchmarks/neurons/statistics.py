"""Rates and irregularity of populations, and whether two simulators agree in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.neurons.description import Model

BLOCKS = 10
"""Pieces of a run whose spread gives the standard error of a mean."""
FEWEST = 5  # spikes from which the irregularity of a neuron is taken
ERRORS = 3.0
"""Standard errors of a difference within which two rates, or two irregularities, agree."""


@dataclass(frozen=True, eq=False)
class Spikes:
    """All spikes of a run of `steps` steps in the order of time: steps from 1, neurons from 0."""

    steps: NDArray
    neurons: NDArray

    def after(self, first: int) -> Spikes:
        """The spikes after step `first`."""
        later = self.steps > first
        return Spikes(self.steps[later], self.neurons[later])

    def same_until(self, other: Spikes) -> int | None:
        """The first step in which others spike than in `other`; None where there is none."""
        n = min(len(self.steps), len(other.steps))
        differs = (self.steps[:n] != other.steps[:n]) | (self.neurons[:n] != other.neurons[:n])
        at = int(np.argmax(differs)) if differs.any() else n
        rest = [s.steps[at] for s in (self, other) if at < len(s.steps)]
        return int(min(rest)) if rest else None


@dataclass(frozen=True)
class Mean:
    """A mean, its standard error, and the number of neurons behind it."""

    value: float
    error: float
    neurons: int

    @classmethod
    def of(cls, values: NDArray, error: float | None = None) -> Mean:
        """Of a value a neuron; without an error of its own, that of independent neurons.

        Fewer than two neurons do not tell: their error is infinite.
        """
        n = len(values)
        value = float(np.mean(values)) if n else float("nan")
        if error is None:
            error = float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
        return cls(value, error, n)

    def agrees(self, other: Mean) -> bool:
        """Whether both differ by no more than their errors explain."""
        reach = ERRORS * float(np.hypot(self.error, other.error))
        return not abs(self.value - other.value) > reach


Population = Mapping[str, Mean]
"""The `rate` in Hz and the `irregularity` of a population."""


def populations(model: Model, spikes: Spikes, first: int, last: int) -> dict[str, Population]:
    """Both of every population, over the steps behind `first` up to `last`."""
    late = spikes.after(first)
    irregular = irregularity(late, model.n)
    each = np.bincount(late.neurons, minlength=model.n) / ((last - first) * model.dt)
    edges = np.linspace(first, last, BLOCKS + 1) + 0.5
    found = {}
    for name, place in model.populations:
        inside = (late.neurons >= place.start) & (late.neurons < place.stop)
        counts = np.histogram(late.steps[inside], edges)[0]
        size, seconds = place.stop - place.start, (last - first) * model.dt / BLOCKS
        error = float(np.std(counts, ddof=1) / np.sqrt(BLOCKS) / size / seconds)
        here = irregular[place]
        found[name] = {
            "rate": Mean.of(each[place], error),
            "irregularity": Mean.of(here[np.isfinite(here)]),
        }
    return found


def irregularity(spikes: Spikes, n: int) -> NDArray:
    """The deviation over the mean of each neuron's intervals; NaN where it has too few spikes."""
    order = np.lexsort((spikes.steps, spikes.neurons))
    steps, neurons = spikes.steps[order], spikes.neurons[order]
    same = neurons[1:] == neurons[:-1]
    intervals, owner = np.diff(steps)[same].astype(np.float64), neurons[1:][same]
    counts = np.bincount(owner, minlength=n)
    with np.errstate(all="ignore"):
        mean = np.bincount(owner, intervals, n) / counts
        deviations = np.bincount(owner, (intervals - mean[owner]) ** 2, n)
        found = np.sqrt(deviations / (counts - 1)) / mean
    return np.where(counts + 1 >= FEWEST, found, np.nan)


def distance(model: Model, spikes: Sequence[Spikes], first: int) -> float:
    """The largest distance of the distributions of two runs' rates of neurons (Kolmogorov)."""
    a, b = (np.sort(np.bincount(s.after(first).neurons, minlength=model.n)) for s in spikes)
    at = np.union1d(a, b)
    shares = [np.searchsorted(x, at, "right") / len(x) for x in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())
