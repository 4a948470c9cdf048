"""Histograms whose bins are fixed whatever the data, so that merging them is adding integers.

A value is rounded to float32; its sign, exponent and eight leading bits of its mantissa are its
bin, the other fifteen bits are its remainder. A bin keeps three integers: the number of values in
it, the sum of their remainders and the sum of their squares. Integers add up exactly and in any
order, so a histogram does not depend on batches or on the order of merging. Mean, variance and
expected squared error lose nothing to the bins. Percentiles and cuts depend on the place of a value
in its bin; their error is at most the bin's width, `RESOLUTION` of the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEADING = 8
_REST = 23 - _LEADING
_REMAINDER = (1 << _REST) - 1
_MAGNITUDE = 0x7FFFFFFF
_SPAN = 1 << 17  # bins of either sign
_ZERO = _SPAN // 2  # the bin of 0, and of what lies within one bin above it
_MOST = 1 << 32  # values of one bin whose sums surely fit

RESOLUTION = 2.0**-_LEADING
"""Width of a bin as a share of its lower edge: the largest relative error of a percentile."""

Integers = NDArray[np.int64]


class Bins(NamedTuple):
    """Occupied bins in order: channel and bin as one number, count, sums of the remainder."""

    code: Integers
    counts: Integers
    first: Integers
    second: Integers


@dataclass(frozen=True, eq=False)
class Histogram:
    """The values of each channel, in bins.

    Results have one entry a channel, `(channels,)`. `lowest` and `highest` are exact (to float32);
    of a channel without values they are infinite, and mean and variance NaN.
    """

    code: Integers
    counts: Integers
    first: Integers
    second: Integers
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]

    @classmethod
    def of(cls, values: ArrayLike) -> Histogram:
        """A histogram of `(channels, n)` finite numbers; raises `ValueError` where one is not."""
        return cls._there(_rounded(values))

    @classmethod
    def _there(cls, rounded: NDArray[np.float32]) -> Histogram:
        """A histogram of the numbers that are there: NaN is none."""
        lowest = np.fmin.reduce(rounded, axis=1, initial=np.float32(np.inf))
        highest = np.fmax.reduce(rounded, axis=1, initial=np.float32(-np.inf))
        return cls(*_bins(rounded), lowest, highest)

    @classmethod
    def empty(cls, channels: int) -> Histogram:
        """A histogram of no values."""
        return cls.of(np.zeros((channels, 0)))

    @staticmethod
    def holds(counts: Integers, first: Integers, second: Integers) -> bool:
        """Whether these can be the counts of bins and the sums of their remainders."""
        fit = not _too_many(counts, first)
        most = np.minimum(counts, _MOST)
        bounded = np.all(first <= most * _REMAINDER) and np.all(second <= first * _REMAINDER)
        return bool(fit and np.all(first >= 0) and np.all(second >= first) and bounded)

    @classmethod
    def join(cls, parts: Sequence[Histogram]) -> Histogram:
        """All values of several histograms of the same channels: exact, in any order.

        Raises `ValueError` where the channels differ.
        """
        first, *others = parts
        if any(part.channels != first.channels for part in others):
            raise ValueError(f"histograms of {[p.channels for p in parts]} channels do not merge")
        if not others:
            return first
        lowest = np.minimum.reduce([part.lowest for part in parts])
        highest = np.maximum.reduce([part.highest for part in parts])
        return cls(*_added([part.bins for part in parts]), lowest, highest)

    def merge(self, other: Histogram) -> Histogram:
        """The values of both; raises `ValueError` where the channels differ."""
        return Histogram.join([self, other])

    def __eq__(self, other: object) -> bool:
        """Whether both came from the same values, bit for bit."""
        return isinstance(other, Histogram) and all(
            np.array_equal(a, b)
            for a, b in zip((*self.bins, *self._ends), (*other.bins, *other._ends), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def channels(self) -> int:
        """The number of channels."""
        return len(self.lowest)

    @property
    def bins(self) -> Bins:
        """Its bins as they lie in its columns."""
        return Bins(self.code, self.counts, self.first, self.second)

    @property
    def _ends(self) -> tuple[NDArray, NDArray]:
        return self.lowest, self.highest

    # What follows from the bins

    @cached_property
    def channel(self) -> Integers:
        """The channel of each bin."""
        return self.code // _SPAN

    @cached_property
    def _sign(self) -> NDArray:
        return np.where(self.code % _SPAN < _ZERO, -1.0, 1.0)

    @cached_property
    def _edge(self) -> NDArray:
        """The magnitude at which each bin begins."""
        return (_magnitude_bin(self.code) << _REST).astype(np.int32).view(np.float32).astype(float)

    @cached_property
    def _unit(self) -> NDArray:
        """The value of a remainder of 1 in each bin."""
        exponent = _magnitude_bin(self.code) >> _LEADING
        return np.ldexp(1.0, np.maximum(exponent, 1) - 150)

    @cached_property
    def means(self) -> NDArray:
        """The mean of the values in each bin."""
        return self._sign * (self._edge + self._unit * (self.first / self.counts))

    @cached_property
    def spreads(self) -> NDArray:
        """The variance of the values within each bin."""
        within = self.second / self.counts - (self.first / self.counts) ** 2
        return self._unit**2 * np.maximum(within, 0.0)

    def sum(self, values: NDArray) -> NDArray:
        """The sum over each channel's bins of one number a bin."""
        return np.bincount(self.channel, values, minlength=self.channels)

    @cached_property
    def total(self) -> Integers:
        """The number of values of each channel."""
        counts = np.zeros(self.channels, np.int64)
        np.add.at(counts, self.channel, self.counts)
        return counts

    @cached_property
    def mean(self) -> NDArray:
        """Mean of each channel."""
        return self.expectation(self.means)

    @cached_property
    def variance(self) -> NDArray:
        """Variance of each channel, about its mean."""
        deviation = self.means - self.mean[self.channel]
        return self.expectation(self.spreads + deviation**2)

    def expectation(self, values: NDArray) -> NDArray:
        """The mean over each channel's values of one number a bin."""
        with np.errstate(invalid="ignore"):
            return self.sum(self.counts * values) / self.total

    def percentile(self, percent: float) -> NDArray:
        """The smallest value that `percent` of a channel's values do not exceed.

        Off by at most `RESOLUTION` of itself; at 100 exact.
        """
        rank = np.ceil(percent / 100 * self.total - 1e-9).clip(1, np.maximum(self.total, 1))
        before = np.concatenate([[0], np.cumsum(self.total)[:-1]])
        cumulative = np.cumsum(self.counts)
        place = np.searchsorted(cumulative, (before + rank).astype(np.int64))
        within = np.append(self.means, np.nan)[np.minimum(place, len(self.means))]
        return np.where(rank >= self.total, self.highest.astype(float), within)

    def excess(self, threshold: ArrayLike) -> NDArray:
        """`E[max(x - threshold, 0)]` of each channel, for one threshold or one a channel."""
        level = np.broadcast_to(np.asarray(threshold, float), (self.channels,))
        return self.expectation(np.maximum(self.means - level[self.channel], 0.0))

    def squared_error(self, answers: NDArray) -> NDArray:
        """`E[(x - q)^2]` of each channel, where all values of a bin are answered by one `q`."""
        return self.expectation((self.means - answers) ** 2 + self.spreads)

    # Other histograms of the same data

    @cached_property
    def together(self) -> Histogram:
        """All channels as one."""
        bins = _added([self.bins._replace(code=self.code % _SPAN)])
        return Histogram(*bins, self.lowest.min(keepdims=True), self.highest.max(keepdims=True))

    def filled(self) -> Histogram:
        """The histogram with a zero in every channel that has no values."""
        missing = np.flatnonzero(self.total == 0)
        if not len(missing):
            return self
        none = np.zeros(len(missing), np.int64)
        zeros = Bins(missing * _SPAN + _ZERO, none + 1, none, none)
        ends = (np.where(self.total == 0, np.float32(0), end) for end in self._ends)
        return Histogram(*_added([self.bins, zeros]), *ends)

    def magnitudes(self) -> Histogram:
        """The histogram of `|x|`; its lowest value is known to a bin."""
        if np.all(self.code % _SPAN >= _ZERO):
            return self
        code = self.channel * _SPAN + _ZERO + _magnitude_bin(self.code)
        outside = np.maximum(self.lowest, -self.highest)
        crossed = (self.lowest < 0) & (self.highest > 0)
        lowest = np.where(crossed, self._nearest_to_zero(), np.maximum(outside, 0))
        highest = np.maximum(-self.lowest, self.highest)
        return Histogram(*_added([self.bins._replace(code=code)]), lowest, highest)

    def _nearest_to_zero(self) -> NDArray:
        """The lower edge of the bin of the smallest magnitude in each channel."""
        nearest = np.full(self.channels, np.inf)
        np.minimum.at(nearest, self.channel, self._edge)
        return nearest.astype(np.float32)

    def rectified(self) -> Histogram:
        """The histogram of `max(x, 0)`."""
        below = self.code % _SPAN < _ZERO
        if not np.any(below):
            return self
        filled = self.total > 0
        lowest = np.where(filled, np.maximum(self.lowest, 0), self.lowest)
        highest = np.where(filled, np.maximum(self.highest, 0), self.highest)
        return self._zeroed(below, lowest, highest)

    def without(self, limits: NDArray) -> Histogram:
        """The same with 0 for values whose magnitude lies below the limit of their channel."""
        small = np.abs(self.means) < limits[self.channel]
        if not np.any(small & (self.means != 0)):
            return self
        lowest, highest = (np.where(np.abs(end) < limits, 0, end) for end in self._ends)
        return self._zeroed(small, lowest, highest)

    def _zeroed(self, bins: NDArray, lowest: NDArray, highest: NDArray) -> Histogram:
        """The same with 0 for the values of some bins, and these ends."""
        kept = Bins(
            np.where(bins, self.channel * _SPAN + _ZERO, self.code),
            self.counts,
            np.where(bins, 0, self.first),
            np.where(bins, 0, self.second),
        )
        return Histogram(*_added([kept]), lowest.astype(np.float32), highest.astype(np.float32))


class Collector:
    """Gathers values and makes a histogram of them now and then: sorting many at once is quick."""

    def __init__(self, channels: int, at_once: int = 1 << 21) -> None:
        self._made = Histogram.empty(channels)
        self._waiting: list[NDArray[np.float32]] = []
        self._values, self._at_once = 0, at_once

    def add(self, values: NDArray, real: NDArray | None = None) -> None:
        """Take `(channels, n)` values; raises `ValueError` for values that are not finite.

        Where `real` is given, those where it is false are left out, whatever they are.
        """
        if real is None:
            rounded = _rounded(values)
        else:
            rounded = np.where(real, _rounded(np.where(real, values, 0.0)), np.float32(np.nan))
        self._waiting.append(rounded)
        self._values += rounded.size
        if self._values >= self._at_once:
            self._compress()

    def result(self) -> Histogram:
        """The histogram of all values so far."""
        self._compress()
        return self._made

    def _compress(self) -> None:
        if self._waiting:
            values = np.concatenate(self._waiting, axis=1)
            self._made = self._made.merge(Histogram._there(values))
            self._waiting, self._values = [], 0


def _rounded(values: ArrayLike) -> NDArray[np.float32]:
    """Finite numbers of single precision; raises `ValueError` where one is not."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(values, np.float32) + np.float32(0.0)  # there is one zero
    if not np.all(np.isfinite(rounded)):
        raise ValueError("NaN, infinity, or a number beyond the range of float32")
    return rounded


def _magnitude_bin(code: Integers) -> Integers:
    """The bin of the magnitude: negative bins mirror the others."""
    signed = code % _SPAN - _ZERO
    return np.where(signed < 0, -1 - signed, signed)


def _bins(values: NDArray[np.float32]) -> Bins:
    """The bins of `(channels, n)` values: sorted once, then counted in runs."""
    bits = np.ascontiguousarray(values).view(np.int32).astype(np.int64)
    magnitude = bits & _MAGNITUDE
    signed = magnitude >> _REST
    signed = np.where(bits < 0, -1 - signed, signed)
    channel = np.arange(len(values), dtype=np.int64)[:, None]
    packed = ((channel * _SPAN + _ZERO + signed) << _REST) | (magnitude & _REMAINDER)
    zero = magnitude == 0
    zeros = zero.sum(axis=1)
    others = np.sort(packed[~zero & ~np.isnan(values)])
    rest = others & _REMAINDER
    found = _runs(others >> _REST, np.ones(len(others), np.int64), rest, rest * rest)
    (empty,) = np.nonzero(zeros)
    none = np.zeros(len(empty), np.int64)
    return _added([found, Bins(empty * _SPAN + _ZERO, zeros[empty], none, none)])


def _added(parts: Iterable[Bins]) -> Bins:
    """The bins of several lists, each once, in order."""
    joined = Bins(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.argsort(joined.code, kind="stable")
    return _runs(*(column[order] for column in joined))


def _too_many(counts: Integers, first: Integers) -> bool:
    """Whether some bins hold more values than their sums can."""
    return bool(np.any((counts > _MOST) & (first > 0)))


def _runs(code: Integers, *columns: Integers) -> Bins:
    """Entries of one code after the other as one, their columns added up."""
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    if not len(starts):
        return Bins(code, *columns)
    added = [np.add.reduceat(column, starts) for column in columns]
    if _too_many(added[0], added[1]):
        raise ValueError(f"more than {_MOST} values in one bin: collect fewer samples")
    return Bins(code[starts], *added)
