"""What outputs have lost against the source's, over all samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.intervals import Interval, paired_interval
from spikewright.measure.truth import Output, Truth

Outputs = Mapping[str, NDArray]


@dataclass(frozen=True)
class Loss:
    """What an output has lost.

    `drop` is the fall in accuracy (a fraction), of targets the rise in relative error, None where
    neither is known; `change` is how far the output's values are from the source's, root mean
    square over root mean square (of several outputs, the root mean square of theirs).
    """

    drop: float | None
    change: float

    @property
    def value(self) -> float:
        """The drop where it is known, else the change."""
        return self.change if self.drop is None else self.drop


@dataclass(frozen=True)
class Score:
    """How right the outputs are: accuracy, or of targets the relative error."""

    name: Literal["accuracy", "relative error"]
    found: float
    source: float

    @property
    def drop(self) -> float:
        """How much worse than the source."""
        worse = self.source - self.found
        return worse if self.name == "accuracy" else -worse


@dataclass(frozen=True, eq=False)
class Judge:
    """What an output should be, `truth`, for all samples in order."""

    output: Output
    truth: Truth

    def right(self, samples: slice, outputs: Outputs) -> NDArray:
        """Which answers are right, of labels."""
        return self.output.decided(outputs[self.output.name]) == self.truth.values[samples]

    def wrong(self, samples: slice, outputs: Outputs) -> tuple[float, float]:
        """What is wrong of some samples' values, and of how much: answers, or squares."""
        if self.truth.kind == "labels":
            right = self.right(samples, outputs)
            return float(np.sum(~right)), float(len(right))
        values, truth = outputs[self.output.name], self.truth.values[samples]
        return _square(values - truth), _square(truth)

    def score(self, wrong: float, source_wrong: float, whole: float) -> Score:
        """The score of sums over all samples of what `wrong` gives."""
        if self.truth.kind == "labels":
            return Score("accuracy", 1 - wrong / whole, 1 - source_wrong / whole)
        found, source = (
            float(np.sqrt(off / whole)) if whole > 0 else float(off > 0)
            for off in (wrong, source_wrong)
        )
        return Score("relative error", found, source)


class Tally:
    """Adds up the loss of outputs, batch by batch."""

    def __init__(self, judge: Judge | None) -> None:
        self._judge = judge
        self._off: dict[str, NDArray] = {}  # squares of the change, and of the source's values
        self._wrong = np.zeros(3)  # of what was found, of the source's, and the whole
        self._pairs = [0, 0, 0, 0]  # right in source and found, in one of them alone, in neither

    def add(self, samples: slice, source: Outputs, found: Outputs) -> None:
        """Take the outputs `(batch, *out)` of some samples, beside the source's."""
        for name, value in found.items():
            squares = np.array([_square(value - source[name]), _square(source[name])])
            self._off[name] = self._off.get(name, 0.0) + squares
        if self._judge is not None:
            wrong, whole = self._judge.wrong(samples, found)
            self._wrong += wrong, self._judge.wrong(samples, source)[0], whole
            if self._judge.truth.kind == "labels":
                a, b = (self._judge.right(samples, outputs) for outputs in (source, found))
                for i, hits in enumerate((a & b, a & ~b, b & ~a, ~(a | b))):
                    self._pairs[i] += int(hits.sum())

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the drop in accuracy, None without labels."""
        return paired_interval(*self._pairs) if any(self._pairs) else None

    @property
    def score(self) -> Score | None:
        """How right the outputs were, None where nothing says what is right."""
        return None if self._judge is None else self._judge.score(*self._wrong.tolist())

    @property
    def loss(self) -> Loss:
        """What was lost over all samples so far."""
        squares = self._off.values()
        changes = [off / whole if whole > 0 else float(off > 0) for off, whole in squares]
        score = self.score
        return Loss(None if score is None else score.drop, float(np.sqrt(np.mean(changes))))


def _square(values: NDArray) -> float:
    flat = np.ravel(values)
    return float(np.dot(flat, flat))
