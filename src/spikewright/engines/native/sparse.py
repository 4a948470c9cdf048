"""Sparse maps: of spikes by sender, at once or with delays; of values row by row."""

from __future__ import annotations

import numpy as np

from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.senders import (
    ArrivalFilling,
    DelayedLists,
    SenderFilling,
    SenderLists,
)
from spikewright.engines.native.support import by_sender
from spikewright.engines.operators import DelayedLinear, Linear
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


def add_arrivals(b: Buffers, op: DelayedLinear) -> None:
    """A sparse map with delays: over a block, or, in a loop, arrivals now and spikes at the end."""
    (signal,) = op.inputs
    lists = DelayedLists(op)
    rows = b.memory([op], np.zeros((op.rows, b.size(op.output))))
    number = b.kernels.arrivals(
        loops=b.op.loops,
        input=-1 if b.op.loops else b.held_in(signal),
        output=b.buffer(False, op.output),
        senders=lists.senders,
        steps=op.rows,
        parts=lists.parts,
        rows=rows,
        factor=op.factor,
    )
    b.fillings.append(ArrivalFilling(op.label, number, lists))
    if b.op.loops:
        b.last.append(lambda: b.kernels.send(number, input=b.held_in(signal)))
