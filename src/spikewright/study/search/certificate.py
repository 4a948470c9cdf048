"""What paired samples prove about the loss on all samples: the test behind certificates.

Of n samples that both networks answered, `lost` were right before and are wrong now, `gained` the
other way round; the drop in accuracy is the difference of the two shares. Scores in any range are
summed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import TuningError
from spikewright.measure.intervals import (
    Interval,
    exact_interval,
    log_factorials,
    normal_quantile,
    student_tail,
    times_log,
)

_NUISANCE = 0.001  # chance that the share of gained samples lies outside what is looked at
_RATES = 17  # shares of gained samples that are looked at
_REACH = 5.5  # standard deviations that hold all but 1e-7 of a count
_HALVINGS_OF_COUNTS, _HALVINGS = 14, 60


class PairedLoss(ABC):
    """The loss on the same samples; parts of the samples add up."""

    n: int

    @property
    @abstractmethod
    def drop(self) -> float:
        """Estimate of the mean loss; below 0 where more is gained than lost."""

    @property
    @abstractmethod
    def error(self) -> float:
        """Standard error of `drop`, with a sample added that is lost and one that is gained."""

    @abstractmethod
    def p_value(self, drop: float) -> float:
        """The probability of a loss as favourable as this, if the true drop is `drop` (or more)."""

    @abstractmethod
    def upper(self, confidence: float = 0.95) -> float:
        """A bound that the true drop does not exceed, with this confidence (see `p_value`)."""

    @abstractmethod
    def needed(self, drop: float, confidence: float = 0.95) -> int | None:
        """About how many samples would show a drop of at most `drop`, if all stays as it is.

        None where the estimate itself is not below `drop`.
        """

    @abstractmethod
    def _mirrored(self) -> PairedLoss:
        """What was lost gained, and the other way round."""

    def lower(self, confidence: float = 0.95) -> float:
        """A bound that the true drop does not fall below, with this confidence."""
        return -self._mirrored().upper(confidence)

    def interval(self, confidence: float = 0.95) -> Interval:
        """`lower` and `upper`: each of them holds with this confidence."""
        return self.lower(confidence), self.upper(confidence)

    def _bound(self, low: float, high: float, confidence: float, halvings: int) -> float:
        """The drop between two at which `p_value` falls to 1 - confidence, by bisection."""
        for _ in range(halvings):
            middle = (low + high) / 2
            low, high = (middle, high) if self.p_value(middle) > 1 - confidence else (low, middle)
        return high


@dataclass(frozen=True)
class Paired(PairedLoss):
    """Counts of `n` samples: `lost` are right before and wrong after, `gained` wrong and right.

    Raises `TuningError` for counts that cannot be.
    """

    n: int
    lost: int
    gained: int

    def __post_init__(self) -> None:
        if self.n < 1 or min(self.lost, self.gained) < 0 or self.lost + self.gained > self.n:
            raise TuningError(f"{self}: lost and gained samples are some of n, which is above 0")

    @classmethod
    def of(cls, before: NDArray, after: NDArray) -> Paired:
        """Counts from right answers (booleans, `(n,)`) before and after."""
        before, after = np.asarray(before, bool), np.asarray(after, bool)
        return cls(len(before), int(np.sum(before & ~after)), int(np.sum(~before & after)))

    def __add__(self, other: Paired) -> Paired:
        if not isinstance(other, Paired):
            return NotImplemented
        return Paired(self.n + other.n, self.lost + other.lost, self.gained + other.gained)

    @property
    def drop(self) -> float:
        """Estimate of the drop in accuracy, a fraction; below 0 where more is gained than lost."""
        return (self.lost - self.gained) / self.n

    @property
    def error(self) -> float:
        """Standard error of `drop`, with a sample added that is lost and one that is gained."""
        n, changed = self.n + 2, self.lost + self.gained + 2
        return math.sqrt(max(changed - (self.lost - self.gained) ** 2 / n, 0.0)) / n

    def upper(self, confidence: float = 0.95) -> float:
        """A bound that the true drop does not exceed, with this confidence (see `p_value`)."""
        return _upper(self, confidence)

    def needed(self, drop: float, confidence: float = 0.95) -> int | None:
        """See `PairedLoss.needed`; for samples of which none changes at least the exact number."""
        gap = drop - self.drop
        if gap <= 0:
            return None
        z = normal_quantile(confidence)
        share = _restricted(self.n, self.lost, self.gained, drop)
        variance = 2 * float(share) + drop * (1 - drop)
        nothing = math.log(1 - confidence - _NUISANCE) / math.log1p(-drop)
        return math.ceil(max(z * z * variance / gap**2, nothing))

    def _mirrored(self) -> Paired:
        return Paired(self.n, self.gained, self.lost)

    def p_value(self, drop: float) -> float:
        """The probability of counts as favourable as these, if the true drop is `drop` (or more).

        The exact unconditional test: counts are ordered by Tango's score statistic (Statistics in
        Medicine 17, 891-908, 1998). Their probability is that of the trinomial distribution. The
        unknown share of gained samples is taken as the worst in its 99.9 % interval, for which
        0.001 is added (Berger & Boos, J. Am. Stat. Assoc. 89, 1012-1016, 1994). So a true null
        hypothesis is rejected at level alpha with probability at most alpha, at any n.
        """
        return _p_value(self, drop)


@lru_cache(maxsize=4096)
def _p_value(paired: Paired, drop: float) -> float:
    if drop >= 1.0:
        return 0.0
    n = paired.n
    observed = float(_score(n, paired.lost, paired.gained, drop))
    low, high = exact_interval(paired.gained, n, 1 - _NUISANCE)
    high = min(high, (1.0 - drop) / 2)
    low = min(max(low, -drop, 0.0), high)
    rates = np.linspace(low, high, _RATES)
    worst = max(_probability(n, drop, float(rate), observed) for rate in rates)
    return min(1.0, worst + _NUISANCE)


@lru_cache(maxsize=1024)
def _upper(paired: Paired, confidence: float) -> float:
    if not 0 < confidence < 1 - _NUISANCE:
        raise TuningError(
            f"confidence must lie above 0 and below {1 - _NUISANCE:g}, got {confidence}"
        )
    low = paired.drop
    high = min(1.0, low + 5 * paired.error + 10 / paired.n)
    if paired.p_value(high) > 1 - confidence:
        low, high = high, 1.0
    return paired._bound(low, high, confidence, _HALVINGS_OF_COUNTS)


def _restricted(n: int, lost: NDArray | int, gained: NDArray | int, drop: float) -> NDArray:
    """The most likely share of gained samples, if the drop is `drop` (Tango 1998)."""
    b = -np.asarray(lost, float) - gained + (2 * n - np.asarray(lost, float) + gained) * drop
    c = -np.asarray(gained, float) * drop * (1 - drop)
    root = np.sqrt(np.maximum(b * b - 8 * n * c, 0.0))
    found: NDArray = np.maximum((root - b) / (4 * n), 0.0)
    return found


def _score(n: int, lost: NDArray | int, gained: NDArray | int, drop: float) -> NDArray:
    """Tango's score statistic: how far the estimate lies above `drop`, in standard errors."""
    share = _restricted(n, lost, gained, drop)
    variance = n * (2 * share + drop * (1 - drop))
    distance = np.asarray(lost, float) - gained - n * drop
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray = np.where(variance > 0, distance / np.sqrt(variance), 0.0)
    return found


def _probability(n: int, drop: float, share: float, observed: float) -> float:
    """Probability of counts whose score is at most `observed`, for one share of gained samples."""
    lose = min(max(share + drop, 0.0), 1.0 - share)
    lost, gained = _likely(n, lose)[:, None], _likely(n, share)[None, :]
    keep = (lost + gained <= n) & (_score(n, lost, gained, drop) <= observed + 1e-9)
    logs = log_factorials(n)
    rest = np.maximum(n - lost - gained, 0)
    log = (
        logs[n] - logs[lost] - logs[gained] - logs[rest]
        + times_log(lost, lose) + times_log(gained, share)
        + times_log(rest, 1.0 - lose - share)
    )  # fmt: skip
    return float(np.exp(log[keep]).sum())


def _likely(n: int, share: float) -> NDArray:
    """Counts that a share of n samples may well give."""
    spread = _REACH * math.sqrt(n * share * (1 - share)) + 12
    first, last = math.floor(n * share - spread), math.ceil(n * share + spread)
    return np.arange(max(0, first), min(n, last) + 1)


@dataclass(frozen=True)
class PairedScores(PairedLoss):
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
        return self._bound(low, high, confidence, _HALVINGS)

    def _mirrored(self) -> PairedScores:
        return PairedScores(self.n, -self.total, self.squares, self.low, self.high)

    def p_value(self, drop: float) -> float:
        """The probability of sums as favourable as these, if the true drop is `drop` (or more).

        Student's paired test, one-sided, with the `error` above: as for proportions, two added
        samples make the approximation hold where few samples lose anything (Agresti & Min,
        Statistics in Medicine 24, 729-740, 2005). It is approximate: where few of some hundred
        samples carry most of the loss, it rejects too often, up to about twice as often as stated.
        """
        if self.error == 0:
            return float(drop <= self.drop)
        return student_tail((drop - self.drop) / self.error, self.n + 1)

    def needed(self, drop: float, confidence: float = 0.95) -> int | None:
        """See `PairedLoss.needed`."""
        gap = drop - self.drop
        if gap <= 0:
            return None
        spread = self.error * math.sqrt(self.n + 2)
        return math.ceil(max(2.0, (normal_quantile(confidence) * spread / gap) ** 2))


def paired_of(before: NDArray, after: NDArray) -> Paired | PairedScores:
    """The loss from scores before to scores after: counts where all are right or wrong."""
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if all(np.all((scores == 0) | (scores == 1)) for scores in (first, second)):
        return Paired.of(first == 1, second == 1)
    return PairedScores.of(first, second)
