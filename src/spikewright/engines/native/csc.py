"""Sparse weights in compressed sparse columns (CSC), for spikes: one list of entries a sender.

Weights are stored in the narrowest format that is exact, and packed before the first run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import entry_steps
from spikewright.engines.native._kernels import (
    MOST_PART_RECEIVERS,
    MOST_RECEIVERS,
    CscFormat,
    Region,
)
from spikewright.engines.operators import DelayedLinear
from spikewright.network.transforms import Sparse

_LEAST_ENTRIES = 32  # of a sender in a part: finding a shorter list takes longer than adding it
_MOST_PARTS = 16  # of a block of receivers, which threads share


class CscWeights:
    """The entries of a sparse map in compressed columns; use `of`, which caches them."""

    def __init__(self, transform: Sparse) -> None:
        self._entries = transform.rows, transform.columns, transform.values
        self.senders, self.receivers = transform.size_in, int(np.prod(transform.shape_out))

    @classmethod
    def of(cls, transform: Sparse) -> CscWeights:
        """The compressed columns of a map, cached."""
        if transform not in _known:
            _known[transform] = cls(transform)
        return _known[transform]

    @cached_property
    def longest_sum(self) -> int:
        """The largest number of entries of one receiver."""
        return int(np.bincount(self._entries[0]).max(initial=0))

    @cached_property
    def steps(self) -> NDArray:
        """The grid steps of the weights, one a receiver."""
        rows, _, values = self._entries
        return entry_steps(values, rows, self.receivers)

    @cached_property
    def form(self) -> CscFormat:
        """The narrowest exact format; doubles for entries that are not on the "float32" grid."""
        return CscFormat(**self.entries, count=self.senders)

    @property
    def entries(self) -> dict[str, NDArray]:
        """The entries as arguments of the kernels."""
        rows, columns, values = self._entries
        return {"receivers": rows, "senders": columns, "values": values, "steps": self.steps}

    @property
    def description(self) -> str:
        """A description of the format, for plans."""
        width = self.form.width
        return f"lists by sender, {f'{8 * width}-bit weights' if width else 'a weight each'}"

    @property
    def parts(self) -> int:
        """The number of parts of a block of receivers."""
        entries = len(self._entries[0]) // max(1, self.senders * self._blocks)
        return max(1, min(_MOST_PARTS, entries // _LEAST_ENTRIES))

    @property
    def _blocks(self) -> int:
        return max(1, -(-self.receivers // MOST_RECEIVERS))

    @property
    def bytes(self) -> int:
        """Bytes of the packed lists."""
        entries = (2 + self.form.width) * len(self._entries[0])
        starts = 4 * self._blocks * self.parts * self.senders
        return entries + starts + 8 * self.receivers


_known: WeakKeyDictionary[Sparse, CscWeights] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class CscPacking:
    """Packs the compressed columns of one map before its first run."""

    label: str
    number: int
    lists: CscWeights

    @property
    def bytes(self) -> int:
        """Bytes of the packed lists."""
        return self.lists.bytes

    @property
    def temporary(self) -> int:
        """Temporary bytes of packing."""
        return 8 * (self.lists.senders + self.lists.receivers)

    def pack(self, kernels: Region, threads: int) -> None:
        """Pack the lists, on one thread."""
        kernels.fill_csc(self.number, form=self.lists.form, **self.lists.entries)


class DelayedCscWeights:
    """The entries of a sparse map with delays, in compressed columns."""

    def __init__(self, op: DelayedLinear) -> None:
        self._op = op
        self.senders = op.transform.size_in
        self.receivers = int(np.prod(op.transform.shape_out))

    @property
    def parts(self) -> int:
        """The number of parts of the receivers."""
        most = max(
            1, min(_MOST_PARTS, len(self._op.delays) // (_LEAST_ENTRIES * self.senders or 1))
        )
        return max(most, -(-self.receivers // MOST_PART_RECEIVERS))

    @property
    def entries(self) -> dict[str, NDArray]:
        """The entries as arguments of the kernels."""
        transform = self._op.transform
        return {
            "receivers": transform.rows,
            "senders": transform.columns,
            "delays": self._op.delays.astype(np.int32),
            "values": np.asarray(transform.values, np.float64),
        }

    @property
    def bytes(self) -> int:
        """Bytes of the packed lists: a receiver, a delay and a weight for each entry."""
        values = np.asarray(self._op.transform.values)
        single = np.array_equal(values.astype(np.float32), values)
        return (8 if single else 16) * len(values) + 4 * self.senders * self.parts


@dataclass(frozen=True, eq=False)
class DelayedCscPacking:
    """Packs the compressed columns of one map with delays before its first run."""

    label: str
    number: int
    lists: DelayedCscWeights

    @property
    def bytes(self) -> int:
        """Bytes of the packed lists."""
        return self.lists.bytes

    @property
    def temporary(self) -> int:
        """Temporary bytes of packing: orders of the entries, delays and weights."""
        entries = self.lists.entries
        return 24 * len(entries["values"]) + 8 * self.lists.senders * self.lists.parts

    def pack(self, kernels: Region, threads: int) -> None:
        """Pack the lists, on one thread."""
        kernels.fill_delayed_csc(self.number, **self.lists.entries)
