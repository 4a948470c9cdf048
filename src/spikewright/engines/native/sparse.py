"""Sparse maps: of spikes by sender, whose lists they add; of values row by row."""

from __future__ import annotations

import numpy as np

from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.senders import SenderFilling, SenderLists
from spikewright.engines.native.support import by_sender
from spikewright.engines.operators import Linear
from spikewright.network.transforms import Sparse


def add_sparse(b: Buffers, op: Linear, transform: Sparse) -> None:
    """A sparse map of counts in bytes, or of values."""
    if by_sender(transform, op.inputs[0] in b.op.counts):
        _add_senders(b, op, transform)
    else:
        _add_rows(b, op, transform)


def _add_senders(b: Buffers, op: Linear, transform: Sparse) -> None:
    (signal,) = op.inputs
    lists = SenderLists.of(transform)
    number = b.kernels.senders(
        input=b.held_in(signal),
        output=b.buffer(False, op.output),
        form=lists.form,
        parts=lists.parts,
        factor=op.factor,
    )
    b.fillings.append(SenderFilling(op.label, number, lists))


def _add_rows(b: Buffers, op: Linear, transform: Sparse) -> None:
    """Every row adds its entries in the order of their columns."""
    (signal,) = op.inputs
    order = np.lexsort((transform.columns, transform.rows))
    counts = np.bincount(transform.rows, minlength=b.size(op.output))
    source = b.held_in(signal)
    b.kernels.sparse(
        input=source,
        output=b.buffer(False, op.output),
        starts=np.concatenate([[0], np.cumsum(counts)]).tolist(),
        columns=transform.columns[order],
        values=np.asarray(transform.values, np.float64)[order],
        factor=op.factor,
    )
