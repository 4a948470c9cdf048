"""Sparse weights of spikes, by sender: how narrow they are held, and made late."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import entry_steps
from spikewright.engines.native._kernels import Region, SenderForm
from spikewright.network.transforms import Sparse

_forms: WeakKeyDictionary[Sparse, SenderForm] = WeakKeyDictionary()


def longest_sum(transform: Sparse) -> int:
    """The largest number of entries of a row."""
    return int(np.bincount(transform.rows).max(initial=0))


def form_of(transform: Sparse) -> SenderForm:
    """The narrowest form that is exact, found once; the entries lie on the grid."""
    if transform not in _forms:
        _forms[transform] = SenderForm(**entries_of(transform), count=transform.size_in)
    return _forms[transform]


def entries_of(transform: Sparse) -> dict[str, NDArray]:
    """The entries as the kernels take them."""
    receivers = int(np.prod(transform.shape_out))
    return {
        "receivers": transform.rows,
        "senders": transform.columns,
        "values": transform.values,
        "steps": entry_steps(transform.values, transform.rows, receivers),
    }


def words_of(transform: Sparse) -> str:
    """How the entries are held, for plans."""
    width = form_of(transform).width
    return (
        f"lists by sender, {8 * width}-bit weights" if width else "lists by sender, a weight each"
    )


@dataclass(frozen=True, eq=False)
class SenderFilling:
    """The lists of a sparse map, which are made before its first run."""

    label: str
    number: int
    transform: Sparse
    blocks: int

    @property
    def bytes(self) -> int:
        """Bytes that the kernels hold."""
        entries = (2 + form_of(self.transform).width) * len(self.transform.values)
        receivers = int(np.prod(self.transform.shape_out))
        return entries + 4 * self.blocks * self.transform.size_in + 8 * receivers

    @property
    def making(self) -> int:
        """Temporary bytes while they are made."""
        return 8 * (self.transform.size_in + 2 * int(np.prod(self.transform.shape_out)))

    def fill(self, kernels: Region) -> None:
        """Make the lists."""
        form = form_of(self.transform)
        kernels.fill_senders(self.number, form=form, **entries_of(self.transform))
