"""What paired samples prove about the loss on all samples: the test behind certificates.

Of n samples that both networks answered, `lost` were right before and are wrong now, `gained` the
other way round; the drop in accuracy is the difference of the two shares. Scores in any range are
summed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spikewright._base.schema import Finite, Positive, check_types
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


@dataclass(frozen=True)
class PairedLoss:
    """Sums over `n` samples of each one's loss, score before less score after, and of its square.

    Parts of the samples add up. `low` and `high` are the ends of the scores that were seen. Right
    and wrong answers, 1 and 0, are `counted`: of these `lost` were right before and wrong after,
    `gained` wrong and right. Raises `TuningError` for sums that cannot be.
    """

    n: Positive
    total: Finite
    squares: Finite
    low: Finite = 0.0
    high: Finite = 1.0
    counted: bool = False

    def __post_init__(self) -> None:
        try:
            check_types(self)
        except TypeError as error:
            raise TuningError(f"no sums of what some samples lose: {error}") from error
        most = self.n if self.counted else math.inf
        least = abs(self.total) if self.counted else 0.0
        if not (least <= self.squares <= most and self.low <= self.high):
            raise TuningError(f"{self}: no sums of what some samples lose")

    @classmethod
    def of(cls, before: NDArray, after: NDArray) -> PairedLoss:
        """From scores `(n,)` before and after; counts where all are right or wrong."""
        before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
        lost = before - after
        sums = len(lost), float(lost.sum()), float(np.dot(lost, lost))
        if all(np.all((scores == 0) | (scores == 1)) for scores in (before, after)):
            return cls(*sums, counted=True)
        ends = float(min(before.min(), after.min())), float(max(before.max(), after.max()))
        return cls(*sums, *ends)

    @classmethod
    def counts(cls, n: int, lost: int, gained: int) -> PairedLoss:
        """Of `n` samples of which some lost the right answer, and some gained it."""
        return cls(n, lost - gained, lost + gained, counted=True)

    def __add__(self, other: PairedLoss) -> PairedLoss:
        return PairedLoss(
            self.n + other.n,
            self.total + other.total,
            self.squares + other.squares,
            min(self.low, other.low),
            max(self.high, other.high),
            self.counted and other.counted,
        )

    @property
    def lost(self) -> int:
        """Samples that were counted as right before and wrong after."""
        return round((self.squares + self.total) / 2)

    @property
    def gained(self) -> int:
        """Samples that were counted as wrong before and right after."""
        return round((self.squares - self.total) / 2)

    @property
    def drop(self) -> float:
        """Estimate of the mean loss; below 0 where more is gained than lost."""
        return self.total / self.n

    @property
    def error(self) -> float:
        """Standard error of `drop`, with a sample added that loses the range seen, and one that
        gains it: samples that all lose alike say little about those that were not seen.
        """
        n, squares = self.n + 2, self.squares + 2 * (self.high - self.low) ** 2
        return math.sqrt(max(squares - self.total**2 / n, 0.0)) / n

    def p_value(self, drop: float) -> float:
        """The probability of a loss as favourable as this, if the true drop is `drop` (or more).

        Of counts by the exact unconditional test: they are ordered by Tango's score statistic
        (Statistics in Medicine 17, 891-908, 1998). Their probability is that of the trinomial
        distribution. The unknown share of gained samples is taken as the worst in its 99.9 %
        interval, for which 0.001 is added (Berger & Boos, J. Am. Stat. Assoc. 89, 1012-1016, 1994).
        So a true null hypothesis is rejected at level alpha with probability at most alpha, at any
        n.

        Of other scores by Student's paired test, one-sided, with the `error` above: as for
        proportions, two added samples make the approximation hold where few samples lose anything
        (Agresti & Min, Statistics in Medicine 24, 729-740, 2005). It is approximate: where few of
        some hundred samples carry most of the loss, it rejects too often, up to about twice as
        often as stated.
        """
        if self.counted:
            return _p_value(self, drop)
        if self.error == 0:
            return float(drop <= self.drop)
        return student_tail((drop - self.drop) / self.error, self.n + 1)

    def upper(self, confidence: float = 0.95) -> float:
        """A bound that the true drop does not exceed, with this confidence (see `p_value`)."""
        return _upper(self, confidence)

    def interval(self, confidence: float = 0.95) -> Interval:
        """Bounds that the true drop keeps, each of them with this confidence."""
        return -replace(self, total=-self.total).upper(confidence), self.upper(confidence)

    def needed(self, drop: float, confidence: float = 0.95) -> int | None:
        """About how many samples would show a drop of at most `drop`, if all stays as it is.

        At least the exact number for counts of which none changes. None where the estimate itself
        is not below `drop`.
        """
        gap = drop - self.drop
        if gap <= 0:
            return None
        z = normal_quantile(confidence)
        if not self.counted:
            return math.ceil(max(2.0, (z * self.error * math.sqrt(self.n + 2) / gap) ** 2))
        share = _restricted(self.n, self.lost, self.gained, drop)
        variance = 2 * float(share) + drop * (1 - drop)
        nothing = math.log(1 - confidence - _NUISANCE) / math.log1p(-drop)
        return math.ceil(max(z * z * variance / gap**2, nothing))


@lru_cache(maxsize=4096)
def _p_value(paired: PairedLoss, drop: float) -> float:
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
def _upper(paired: PairedLoss, confidence: float) -> float:
    """The drop at which `p_value` falls to 1 - confidence, by bisection."""
    most = 1 - _NUISANCE if paired.counted else 1.0
    if not 0 < confidence < most:
        raise TuningError(f"confidence must lie above 0 and below {most:g}, got {confidence}")
    low, reach = paired.drop, paired.error
    high, halvings = low + reach, _HALVINGS
    if paired.counted:
        high, halvings = min(1.0, low + 5 * reach + 10 / paired.n), _HALVINGS_OF_COUNTS
    while reach and paired.p_value(high) > 1 - confidence:
        low, high = (high, 1.0) if paired.counted else (low, high + 2 * (high - low))
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if paired.p_value(middle) > 1 - confidence else (low, middle)
    return high


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
