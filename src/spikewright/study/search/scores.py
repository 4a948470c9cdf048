"""The loss of scores in any range, on the same samples, and what it proves about all samples.

For scores that are only right or wrong, `paired.Paired` has the exact test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import TuningError
from spikewright.study.search.paired import Interval, Paired

_GRID, _FAR = 4001, 40.0  # points of an integral, and how many deviations it reaches
_HALVINGS = 60


@dataclass(frozen=True)
class PairedScores:
    """Sums over `n` samples of each one's loss, score before less score after, and of its square.

    `low` and `high` are the ends of the scores that were seen. Raises `TuningError` for sums that
    cannot be.
    """

    n: int
    total: float
    squares: float
    low: float
    high: float

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.total, self.squares, self.low, self.high)))
        if not (self.n >= 1 and finite and self.squares >= 0 and self.low <= self.high):
            raise TuningError(f"{self}: no sums of what some samples lose")

    @classmethod
    def of(cls, before: NDArray, after: NDArray) -> PairedScores:
        """Sums from scores `(n,)` before and after."""
        lost = before - after
        ends = float(min(before.min(), after.min())), float(max(before.max(), after.max()))
        return cls(len(lost), float(lost.sum()), float(np.dot(lost, lost)), *ends)

    @classmethod
    def of_counts(cls, paired: Paired) -> PairedScores:
        """The same of right and wrong answers, 1 and 0."""
        changed = paired.lost + paired.gained
        return cls(paired.n, float(paired.lost - paired.gained), float(changed), 0.0, 1.0)

    def __add__(self, other: PairedScores | Paired) -> PairedScores:
        if isinstance(other, Paired):
            other = self.of_counts(other)
        return PairedScores(
            self.n + other.n,
            self.total + other.total,
            self.squares + other.squares,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    __radd__ = __add__

    @property
    def drop(self) -> float:
        """Estimate of the mean drop; below 0 where more is gained than lost."""
        return self.total / self.n

    @property
    def error(self) -> float:
        """Standard error of `drop`, with a sample added that loses the range seen, and one that
        gains it: samples that all lose alike say little about those that were not seen.
        """
        n, squares = self.n + 2, self.squares + 2 * (self.high - self.low) ** 2
        return math.sqrt(max(squares - self.total**2 / n, 0.0)) / n

    def upper(self, confidence: float = 0.95) -> float:
        """A bound that the true drop does not exceed, with this confidence (see `p_value`)."""
        if not 0 < confidence < 1:
            raise TuningError(f"confidence must lie above 0 and below 1, got {confidence}")
        low, high = self.drop, self.drop + self.error
        while self.error and self.p_value(high) > 1 - confidence:
            high += 2 * (high - self.drop)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.p_value(middle) > 1 - confidence else (low, middle)
        return high

    def lower(self, confidence: float = 0.95) -> float:
        """A bound that the true drop does not fall below, with this confidence."""
        mirrored = PairedScores(self.n, -self.total, self.squares, self.low, self.high)
        return -mirrored.upper(confidence)

    def interval(self, confidence: float = 0.95) -> Interval:
        """`lower` and `upper`: each of them holds with this confidence."""
        return self.lower(confidence), self.upper(confidence)

    def p_value(self, drop: float) -> float:
        """The probability of sums as favourable as these, if the true drop is `drop` (or more).

        Student's paired test, one-sided, with the `error` above: as for proportions, two added
        samples make the approximation hold where few samples lose anything (Agresti & Min,
        Statistics in Medicine 24, 729-740, 2005). It is approximate: where few of some hundred
        samples carry most of the loss, it rejects too often, up to about twice as often as stated.
        """
        if self.error == 0:
            return float(drop <= self.drop)
        return _student_tail((drop - self.drop) / self.error, self.n + 1)

    def needed(self, drop: float, confidence: float = 0.95) -> int | None:
        """About how many samples would show a drop of at most `drop`, if all stays as it is.

        None where the estimate itself is not below `drop`.
        """
        from statistics import NormalDist  # late: it takes a while to import

        gap = drop - self.drop
        if gap <= 0:
            return None
        spread = self.error * math.sqrt(self.n + 2)
        return math.ceil(max(2.0, (NormalDist().inv_cdf(confidence) * spread / gap) ** 2))


def paired_of(before: NDArray, after: NDArray) -> Paired | PairedScores:
    """The loss from scores before to scores after: counts where all are right or wrong."""
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if all(np.all((scores == 0) | (scores == 1)) for scores in (first, second)):
        return Paired.of(first == 1, second == 1)
    return PairedScores.of(first, second)


def _student_tail(t: float, freedom: int) -> float:
    """The probability that Student's t with so many degrees of freedom is at least `t`.

    With `t = tan(u) sqrt(freedom)` its density goes as `cos(u)^(freedom - 1)`.
    """
    if t < 0:
        return 1.0 - _student_tail(-t, freedom)
    start = math.atan(t / math.sqrt(freedom))
    end = min(math.pi / 2, start + _FAR / math.sqrt(freedom))
    heights = np.cos(np.linspace(start, end, _GRID)) ** (freedom - 1)
    logs = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(math.pi) / 2
    mean = float(heights[1:-1].sum() + (heights[0] + heights[-1]) / 2) / (_GRID - 1)
    return min(1.0, mean * (end - start) * math.exp(logs))
