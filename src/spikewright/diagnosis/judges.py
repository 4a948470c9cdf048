"""Judges of outputs: labels, targets, or a measure of one's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.intervals import Interval, drop_interval
from spikewright.measure.metric import Metric
from spikewright.measure.truth import Output, Truth
from spikewright.records import Worth

Outputs = Mapping[str, NDArray]


@dataclass(frozen=True)
class Score:
    """The score of the outputs, and of the source's: accuracy, relative error, or a metric."""

    worth: Worth
    found: float
    source: float

    @property
    def name(self) -> str:
        """The name of the measure."""
        return self.worth.name

    @property
    def drop(self) -> float:
        """The loss against the source; positive where the outputs are worse."""
        return self.worth.sign * (self.source - self.found)


class Judge(ABC):
    """Says of each sample how right its outputs are."""

    worth: Worth

    @abstractmethod
    def amounts(self, samples: slice, outputs: Outputs) -> NDArray[np.float64]:
        """A number for each of some samples, `(batch,)`, of their outputs `(batch, *out)`."""

    def score(self, source: NDArray, found: NDArray) -> Score:
        """The score of all samples: by default the mean of their numbers."""
        return Score(self.worth, float(found.mean()), float(source.mean()))

    def interval(self, source: NDArray, found: NDArray) -> Interval | None:
        """The 95 % interval of the score's drop."""
        return drop_interval(source, found)


@dataclass(frozen=True, eq=False)
class OfLabels(Judge):
    """One where the answer is the label."""

    output: Output
    truth: Truth
    worth = Worth("accuracy")

    def amounts(self, samples: slice, outputs: Outputs) -> NDArray[np.float64]:
        hits = self.output.decided(outputs[self.output.name]) == self.truth.values[samples]
        return np.asarray(hits, np.float64)


@dataclass(frozen=True, eq=False)
class OfTargets(Judge):
    """The squared distance from the target; of values that are `real`, `(samples, *shape)`."""

    output: Output
    truth: Truth
    real: NDArray | None = None
    worth = Worth("relative error", rising=False)

    def amounts(self, samples: slice, outputs: Outputs) -> NDArray[np.float64]:
        return _squares(
            self._counted(outputs[self.output.name] - self.truth.values[samples], samples)
        )

    def _counted(self, values: NDArray, samples: slice) -> NDArray:
        return values if self.real is None else np.where(self.real[samples], values, 0.0)

    def score(self, source: NDArray, found: NDArray) -> Score:
        whole = float(_squares(self._counted(self.truth.values, slice(None))).sum())
        own, other = (_root(float(off.sum()), whole) for off in (source, found))
        return Score(self.worth, other, own)

    def interval(self, source: NDArray, found: NDArray) -> Interval | None:
        return None


@dataclass(frozen=True, eq=False)
class OfMetric(Judge):
    """The scores of a metric, for the given truth of the samples."""

    metric: Metric
    given: Any

    @property
    def worth(self) -> Worth:  # type: ignore[override]
        """The metric by its name."""
        return Worth(self.metric.name, fraction=False)

    def amounts(self, samples: slice, outputs: Outputs) -> NDArray[np.float64]:
        given = self.given
        if isinstance(given, Mapping):
            given = {name: array[samples] for name, array in given.items()}
        elif given is not None:
            given = given[samples]
        return self.metric(outputs, given)


def _squares(values: NDArray) -> NDArray[np.float64]:
    """Sums of squares of each sample."""
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    return np.einsum("ij,ij->i", flat, flat)


def _root(off: float, whole: float) -> float:
    return float(np.sqrt(off / whole)) if whole > 0 else float(off > 0)
