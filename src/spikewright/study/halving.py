"""Successive halving: all candidates on few samples, the better ones on more and more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, refuse
from spikewright.measure.intervals import mean_interval
from spikewright.study.comparison import Comparison, by_candidate
from spikewright.study.point import OperatingPoint, StudySetting

_KEPT = 3  # candidates that are compared on all samples
_NEAR = 0.005  # other answers above the fewest, a share of samples
_POWER, _PRIOR = 1.5, 16.0  # of the loss, in other answers; other answers that it counts as
_EQUAL = 1e-9  # shares that differ by less are the same

Stays = Callable[[Sequence[OperatingPoint], Sequence[OperatingPoint]], list[StudySetting]]
"""The candidates that stay: of those points, best first, which are compared with others as well."""


@dataclass(frozen=True)
class HalvingClock:
    """The time until which candidates are tried, of the monotonic clock; None: without an end."""

    end: float | None

    @classmethod
    def of(cls, timeout: float | None) -> HalvingClock:
        """A clock that ends in `timeout` seconds; raises `ConversionError` for other values."""
        if timeout is None:
            return cls(None)
        if not (is_number(timeout) and timeout > 0):
            raise refuse("timeout", f"it is None or seconds above 0, got {timeout!r}")
        return cls(time.monotonic() + timeout)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return float("inf") if self.end is None else self.end - time.monotonic()

    def part(self, share: float) -> HalvingClock:
        """A clock that ends after a share of the time that is left."""
        return self if self.end is None else HalvingClock(self.end - (1 - share) * self.left)


@dataclass(eq=False)
class Halving:
    """Compares candidates on more and more samples, as long as there is time.

    A candidate leaves where it is worse than the best by more than their paired interval, and of
    the others the better half stays, at least `_KEPT`. So who leaves was no better than who stays,
    on the samples that both were compared on. Law (successive halving): every number of samples
    costs about as much as the one before. Source: Karnin et al. 2013, ICML; racing by intervals is
    of Maron and Moore 1994, NIPS. `stays` may be another rule of who stays than `better_half`.
    """

    comparison: Comparison
    advance: Callable[[int], None]
    stays: Stays
    left: list[OperatingPoint] = field(default_factory=list)
    """Rows of the candidates that stayed, all on as many samples, the least loss first."""
    gone: list[OperatingPoint] = field(default_factory=list)
    """Rows of the others, on the samples after which they left."""

    @property
    def ranked(self) -> list[StudySetting]:
        """All candidates that could be run, those that stayed first, each part best first."""
        rows = [*self.left, *_sorted(self.gone)]
        return [row.setting for row in by_candidate(rows) if not row.failed]

    @property
    def close(self) -> list[StudySetting]:
        """Those that stayed and are not surely worse than the best, which is the first."""
        rows = [row for row in by_candidate(self.left) if not row.failed]
        return [row.setting for row in rows if not _surely_worse(row, rows[0])]

    @property
    def promising(self) -> list[StudySetting]:
        """Those that stayed and may be chosen, the least loss first."""
        return self._stay(self.left, self.left) if self.stays is near_enough else self.close

    def compare(self, candidates: Sequence[StudySetting], clock: HalvingClock) -> None:
        """Compare the first candidates with one another."""
        alive = list(candidates)
        for count in self._stages(self.comparison.samples):
            found = self._stage(alive, count, clock)
            if found is None:
                return
            if all(row.failed for row in found):
                found = self._others(found, count)
            self.left, alive = found, self._stay(found, found)
            if not alive or count == self.comparison.samples:
                return
            self.gone += [row for row in found if row.setting not in alive]
            self.left = [row for row in found if row.setting in alive]

    def join(self, candidates: Sequence[StudySetting], clock: HalvingClock) -> None:
        """Compare more candidates with those that stayed, those that there is time for.

        Each is made before it is run, which takes the time of a correction.
        """
        alive, found, total = list(candidates), list[OperatingPoint](), self.left[0].n
        for count in self._stages(total):
            before, found = found, []
            for candidate in alive:
                if clock.left <= 0 or self.comparison.seconds_to_make(candidate) > clock.left:
                    self.gone += [row for row in before if row.setting is candidate]
                    continue
                found += self.comparison.rows(candidate, count)
                self.advance(1)
            if count < total:
                alive = self._stay(found, self.left)
                self.gone += [row for row in found if row.setting not in alive]
        self.left = _sorted([*self.left, *found])

    def _stay(
        self, rows: Sequence[OperatingPoint], others: Sequence[OperatingPoint]
    ) -> list[StudySetting]:
        """The candidates in `rows` that stay, where the best may be among others too."""
        return self.stays(_sorted(row for row in rows if not row.failed), others)

    def _stages(self, total: int) -> list[int]:
        """The numbers of samples to compare on, one after the other."""
        return [n for n in self.comparison.stages if n < total] + [total]

    def _stage(
        self, candidates: Sequence[StudySetting], count: int, clock: HalvingClock
    ) -> list[OperatingPoint] | None:
        """Rows of all candidates on so many samples; None where time runs out before they are.

        Of the first samples those that were compared until then: one at least.
        """
        found: list[OperatingPoint] = []
        for candidate in candidates:
            if clock.left <= 0 and (found or self.left):
                return None if self.left else _sorted(found)
            found += self.comparison.rows(candidate, count)
            self.advance(1)
        return _sorted(found)

    def _others(self, failed: Sequence[OperatingPoint], count: int) -> list[OperatingPoint]:
        """The rows of all that failed, and of those that left while they could still be run."""
        able = [row.setting for row in by_candidate(self.gone) if not row.failed]
        self.gone = [row for row in self.gone if row.setting not in able]
        rows = [row for candidate in able for row in self.comparison.rows(candidate, count)]
        return _sorted([*failed, *rows])

    def settle(self) -> None:
        """Bring back candidates that left, while the best is surely worse than one of them.

        It may be: it stayed for another readout, or is a correction that was not there yet.
        """
        while better := [row.setting for row in self.gone if _surely_worse(self.left[0], row)]:
            back = better[0]
            self.gone = [row for row in self.gone if row.setting is not back]
            self.left = _sorted([*self.left, *self.comparison.rows(back, self.left[0].n)])


def better_half(
    rows: Sequence[OperatingPoint], others: Sequence[OperatingPoint]
) -> list[StudySetting]:
    """The candidates that are not surely worse than the best, at most half of all, or `_KEPT`."""
    able = by_candidate(rows)
    if not able:
        return []
    best = min((able[0], *others[:1]), key=lambda row: row.lost)
    close = [row for row in able if not _surely_worse(row, best)]
    return [row.setting for row in close[: max(_KEPT, -(-len(able) // 2))]]


def near_enough(
    rows: Sequence[OperatingPoint], others: Sequence[OperatingPoint]
) -> list[StudySetting]:
    """The candidates whose answers differ from the source's little more often than the best's."""
    if not rows:
        return []
    n = rows[0].n
    least = min([*rows, *others], key=lambda row: (float(others_of(row)[:n].mean()), row.lost))
    kept = [row for row in rows if _surely_more(row, least) <= allowed(n)]
    return [row.setting for row in by_candidate(kept)]


def others_of(row: OperatingPoint) -> NDArray:
    """Whether each answer differs from the source's, `(samples,)`; true for a point that failed."""
    return np.ones(1) if row.different is None else row.different


def expected_others(rows: Sequence[OperatingPoint]) -> NDArray:
    """The expected share of answers that differ from the source's, for each point, `(rows,)`.

    Half a percent is one sample in two hundred, and which candidate has it is luck. The loss is
    settled by few samples, and shares of other answers go about with its power of 1.5, measured in
    two and four steps on digits: the factor is that of all points together. What it lets expect
    counts as much as `_PRIOR` other answers that were seen, so that many samples decide alone.
    """
    seen = np.array([others_of(row).mean() for row in rows])
    powers = np.array([row.lost for row in rows]) ** _POWER
    guess = powers * (seen.sum() / powers.sum() if powers.any() else 0.0)
    shares: NDArray = guess * (_PRIOR + seen * rows[0].n) / (_PRIOR + guess * rows[0].n)
    return shares


def allowed(n: int) -> float:
    """How much larger the share of differing answers may be for a cheaper setting."""
    return max(_NEAR, 1 / n) + _EQUAL


def _surely_more(row: OperatingPoint, least: OperatingPoint) -> float:
    """The least difference of the shares of differing answers, on samples that both saw."""
    n = min(row.n, least.n)
    found = mean_interval(others_of(row)[:n] - others_of(least)[:n])
    return 0.0 if found is None else found[0]


def _surely_worse(row: OperatingPoint, other: OperatingPoint) -> bool:
    """Whether one loses more than another by more than their interval."""
    interval = row.behind(other)
    return interval is not None and interval[0] > 0


def _sorted(rows: Iterable[OperatingPoint]) -> list[OperatingPoint]:
    return sorted(rows, key=lambda row: row.lost)
