"""Successive halving: all candidates on few samples, the better ones on more and more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spikewright._base.arguments import is_number, refuse
from spikewright.choosing.compare.candidates import Candidate, corrected
from spikewright.choosing.compare.comparing import Compared, Comparison, by_candidate

_KEPT = 3  # candidates that are compared on all samples


@dataclass(frozen=True)
class Clock:
    """The time until which candidates are tried, of the monotonic clock; None: without an end."""

    end: float | None

    @classmethod
    def of(cls, timeout: float | None) -> Clock:
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

    @property
    def halved(self) -> Clock:
        """A clock that ends after half of the time that is left."""
        return self if self.end is None else Clock(self.end - self.left / 2)


@dataclass(eq=False)
class Halving:
    """Compares candidates on more and more samples, as long as there is time.

    A candidate leaves where it is worse than the best by more than their paired interval, and of
    the others the better half stays, at least `_KEPT`. So who leaves was no better than who stays,
    on the samples that both were compared on. Law (successive halving): every number of samples
    costs about as much as the one before. Source: Karnin et al. 2013, ICML; racing by intervals is
    of Maron and Moore 1994, NIPS.
    """

    comparison: Comparison
    clock: Clock
    advance: Callable[[int], None]
    left: list[Compared] = field(default_factory=list)
    """Rows of the candidates that stayed, all on as many samples, the least loss first."""
    gone: list[Compared] = field(default_factory=list)
    """Rows of the others, on the samples after which they left."""

    def compare(self, candidates: Sequence[Candidate], halves: bool = True) -> None:
        """Compare candidates with one another; without `halves` all of them on all samples.

        Corrections have the other half of the time.
        """
        clock, alive = self.clock.halved, list(candidates)
        for count in self.comparison.stages if halves else [self.comparison.samples]:
            found = self._stage(alive, count, clock)
            if found is None:
                return
            if all(row.failed for row in found):
                found = self._others(found, count)
            self.left, alive = found, _better(found)
            if not alive or count == self.comparison.samples:
                return
            self.gone += [row for row in found if not _among(row, alive)]
            self.left = [row for row in found if _among(row, alive)]

    def _stage(
        self, candidates: Sequence[Candidate], count: int, clock: Clock
    ) -> list[Compared] | None:
        """Rows of all candidates on so many samples; None where time runs out before they are.

        Of the first samples those that were compared until then: one at least.
        """
        found: list[Compared] = []
        for candidate in candidates:
            if clock.left <= 0 and (found or self.left):
                return None if self.left else _sorted(found)
            found += self.comparison.rows(candidate, count)
            self.advance(1)
        return _sorted(found)

    def _others(self, failed: Sequence[Compared], count: int) -> list[Compared]:
        """The rows of all that failed, and of those that left while they could still be run."""
        able = [row.candidate for row in by_candidate(self.gone) if not row.failed]
        self.gone = [row for row in self.gone if not _among(row, able)]
        rows = [row for candidate in able for row in self.comparison.rows(candidate, count)]
        return _sorted([*failed, *rows])

    def correct(self, steps: int, dt: float) -> None:
        """Compare with corrections, those that there is time for.

        Those of the best candidate; then the correction that became it best, of the others that
        stayed.
        """
        able = [row.candidate for row in by_candidate(self.left) if not row.failed]
        first, *others = able[:_KEPT]
        made = self._corrected(first, steps, dt)
        self._add(made)
        best = self.left[0].candidate
        for kind, candidate in enumerate(made):
            if candidate is best:
                self._add([self._corrected(other, steps, dt)[kind] for other in others])

    def _corrected(self, candidate: Candidate, steps: int, dt: float) -> list[Candidate]:
        numbers = self.comparison.numbers(candidate)
        return corrected(candidate, numbers, self.comparison.few, steps, dt)

    def _add(self, candidates: Sequence[Candidate]) -> None:
        """Compare more candidates on as many samples as those that are left."""
        count = self.left[0].samples
        for candidate in candidates:
            if self.comparison.seconds_to_correct <= self.clock.left:
                self.left = _sorted([*self.left, *self.comparison.rows(candidate, count)])
                self.advance(1)

    def settle(self) -> None:
        """Bring back who left, as long as the best is surely worse than one of them.

        It may be: it stayed for another readout, or is a correction that was not there yet.
        """
        while back := self._better_than(self.left[0]):
            self.gone = [row for row in self.gone if row.candidate is not back]
            self.left = _sorted([*self.left, *self.comparison.rows(back, self.left[0].samples)])

    def _better_than(self, best: Compared) -> Candidate | None:
        """One that left, and lost less than `best` does by more than their interval."""
        for row in self.gone:
            interval = best.behind(row)
            if interval is not None and interval[0] > 0:
                return row.candidate
        return None


def _better(rows: Sequence[Compared]) -> list[Candidate]:
    """The candidates that stay."""
    able = [row for row in by_candidate(rows) if not row.failed]
    close = [row for row in able if (row.behind(able[0]) or (0.0,))[0] <= 0]
    return [row.candidate for row in close[: max(_KEPT, -(-len(able) // 2))]]


def _among(row: Compared, candidates: Sequence[Candidate]) -> bool:
    return any(row.candidate is candidate for candidate in candidates)


def _sorted(rows: Sequence[Compared]) -> list[Compared]:
    return sorted(rows, key=lambda row: row.loss)
