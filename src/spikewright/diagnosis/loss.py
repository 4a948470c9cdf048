"""The loss of outputs against the source's, over all samples, and how right outputs are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.intervals import Interval, drop_interval
from spikewright.measure.targets import Metric, Output, Targets
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


class Scorer(ABC):
    """Scores the outputs of each sample."""

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
class LabelScore(Scorer):
    """Scores 1 where the answer is the label, else 0."""

    output: Output
    truth: Targets
    worth = Worth("accuracy")

    def amounts(self, samples: slice, outputs: Outputs) -> NDArray[np.float64]:
        hits = self.output.decided(outputs[self.output.name]) == self.truth.values[samples]
        return np.asarray(hits, np.float64)


@dataclass(frozen=True, eq=False)
class TargetScore(Scorer):
    """The squared distance from the target; of values that are `real`, `(samples, *shape)`."""

    output: Output
    truth: Targets
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
        own, other = (
            float(np.sqrt(off / whole)) if whole > 0 else float(off > 0)
            for off in (float(source.sum()), float(found.sum()))
        )
        return Score(self.worth, other, own)

    def interval(self, source: NDArray, found: NDArray) -> Interval | None:
        return None


@dataclass(frozen=True, eq=False)
class CustomScore(Scorer):
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


@dataclass(frozen=True)
class Loss:
    """The loss of an output.

    `drop` is the loss of its score: the fall in accuracy (a fraction) or of a metric, of targets
    the rise in relative error; None without truth. `change` is the distance of the output's values
    from the source's, root mean square over root mean square. Of several outputs it is the root
    mean square of theirs, which `by_output` holds by name.
    """

    drop: float | None
    change: float
    by_output: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def value(self) -> float:
        """The drop where it is known, else the change."""
        return self.change if self.drop is None else self.drop


NOTHING: Outputs = MappingProxyType({})


class LossTally:
    """Adds up the loss of outputs, batch by batch.

    `real` says which values of outputs count, `{output: (samples, *shape)}`, where some are
    padding.
    """

    def __init__(self, scorer: Scorer | None, real: Outputs = NOTHING) -> None:
        self._judge, self._real = scorer, real
        self._off: dict[str, NDArray] = {}  # squares of the change, and of the source's values
        self._amounts: list[tuple[NDArray, NDArray]] = []  # of the source's outputs, and of these

    def add(self, samples: slice, source: Outputs, found: Outputs) -> None:
        """Take the outputs `(batch, *out)` of some samples, beside the source's."""
        for name, value in found.items():
            source_value = source[name]
            if name in self._real:
                counts = self._real[name][samples]
                value, source_value = (np.where(counts, v, 0.0) for v in (value, source_value))
            squares = np.array([_square(value - source_value), _square(source_value)])
            self._off[name] = self._off.get(name, 0.0) + squares
        scorer = self._judge
        if scorer is not None:
            self._amounts.append((scorer.amounts(samples, source), scorer.amounts(samples, found)))

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the drop, None where there is none."""
        return None if self._judge is None else self._judge.interval(*self._whole)

    @property
    def score(self) -> Score | None:
        """The score of the outputs, None without truth."""
        return None if self._judge is None else self._judge.score(*self._whole)

    @property
    def _whole(self) -> tuple[NDArray, NDArray]:
        source, found = zip(*self._amounts, strict=True)
        return np.concatenate(source), np.concatenate(found)

    @property
    def loss(self) -> Loss:
        """The loss over all samples so far."""
        squares = self._off.items()
        powers = {n: off / whole if whole > 0 else float(off > 0) for n, (off, whole) in squares}
        changes = {name: float(np.sqrt(power)) for name, power in powers.items()}
        score = self.score
        change = float(np.sqrt(np.mean(list(powers.values()))))
        return Loss(None if score is None else score.drop, change, changes)


def _square(values: NDArray) -> float:
    flat = np.ravel(values)
    return float(np.dot(flat, flat))
