"""The loss on the same samples, and what it proves about all samples.

Of n samples that both networks answered, `lost` were right before and are wrong now, `gained` the
other way round; the drop in accuracy is the difference of the two shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import TuningError

Interval = tuple[float, float]

_NUISANCE = 0.001  # chance that the share of gained samples lies outside what is looked at
_RATES = 17  # shares of gained samples that are looked at
_REACH = 5.5  # standard deviations that hold all but 1e-7 of a count
_HALVINGS = 14


@dataclass(frozen=True)
class Paired:
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

    def lower(self, confidence: float = 0.95) -> float:
        """A bound that the true drop does not fall below, with this confidence."""
        return -Paired(self.n, self.gained, self.lost).upper(confidence)

    def interval(self, confidence: float = 0.95) -> Interval:
        """`lower` and `upper`: each of them holds with this confidence."""
        return self.lower(confidence), self.upper(confidence)

    def needed(self, drop: float, confidence: float = 0.95) -> int | None:
        """About how many samples would show a drop of at most `drop`; see `needed`."""
        return needed(self, drop, confidence)

    def p_value(self, drop: float) -> float:
        """The probability of counts as favourable as these, if the true drop is `drop` (or more).

        The exact unconditional test: counts are ordered by Tango's score statistic (Statistics in
        Medicine 17, 891-908, 1998). Their probability is that of the trinomial distribution. The
        unknown share of gained samples is taken as the worst in its 99.9 % interval, for which
        0.001 is added (Berger & Boos, J. Am. Stat. Assoc. 89, 1012-1016, 1994). So a true null
        hypothesis is rejected at level alpha with probability at most alpha, at any n.
        """
        return _p_value(self, drop)


def needed(paired: Paired, drop: float, confidence: float = 0.95) -> int | None:
    """About how many samples would show a drop of at most `drop`, if shares stay as they are.

    None where the estimate itself is not below `drop`. The larger of two numbers: by Tango's score
    statistic, and for samples of which none changes.
    """
    gap = drop - paired.drop
    if gap <= 0:
        return None
    from statistics import NormalDist  # late: it takes a while to import

    z = NormalDist().inv_cdf(confidence)
    share = _restricted(paired.n, paired.lost, paired.gained, drop)
    variance = 2 * float(share) + drop * (1 - drop)
    nothing = math.log(1 - confidence - _NUISANCE) / math.log1p(-drop)
    return math.ceil(max(z * z * variance / gap**2, nothing))


@lru_cache(maxsize=4096)
def _p_value(paired: Paired, drop: float) -> float:
    if drop >= 1.0:
        return 0.0
    n = paired.n
    observed = float(_score(n, paired.lost, paired.gained, drop))
    low, high = _share_interval(paired.gained, n)
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
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if paired.p_value(middle) > 1 - confidence:
            low = middle
        else:
            high = middle
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
    logs = _log_factorials(n)
    rest = np.maximum(n - lost - gained, 0)
    log = (
        logs[n] - logs[lost] - logs[gained] - logs[rest]
        + _times_log(lost, lose) + _times_log(gained, share)
        + _times_log(rest, 1.0 - lose - share)
    )  # fmt: skip
    return float(np.exp(log[keep]).sum())


def _likely(n: int, share: float) -> NDArray:
    """Counts that a share of n samples may well give."""
    spread = _REACH * math.sqrt(n * share * (1 - share)) + 12
    first, last = math.floor(n * share - spread), math.ceil(n * share + spread)
    return np.arange(max(0, first), min(n, last) + 1)


def _times_log(count: NDArray, share: float) -> NDArray:
    """`count * log(share)`, 0 where both are 0."""
    if share > 0:
        return count * math.log(share)
    return np.where(count > 0, -np.inf, 0.0)


@lru_cache(maxsize=8)
def _log_factorials(n: int) -> NDArray:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def _share_interval(count: int, n: int) -> Interval:
    """The exact interval of a share (Clopper & Pearson, Biometrika 26, 404-413, 1934)."""
    tail = _NUISANCE / 2
    low = 0.0 if count == 0 else _solve(lambda p: 1 - _at_most(count - 1, n, p) > tail)
    high = 1.0 if count == n else _solve(lambda p: _at_most(count, n, p) <= tail)
    return low, high


def _solve(above: Callable[[float], bool]) -> float:
    """The share at which a condition begins to hold, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


def _at_most(count: int, n: int, share: float) -> float:
    """Probability of at most `count` of n."""
    counts, logs = np.arange(count + 1), _log_factorials(n)
    log = (
        logs[n] - logs[counts] - logs[n - counts]
        + _times_log(counts, share) + _times_log(n - counts, 1 - share)
    )  # fmt: skip
    return float(np.exp(log).sum())
