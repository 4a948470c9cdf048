"""Kernels of sparse maps: by columns for spikes, with or without delays; by rows for values."""

from __future__ import annotations

import numpy as np

from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.csc import (
    CscPacking,
    CscWeights,
    DelayedCscPacking,
    DelayedCscWeights,
)
from spikewright.engines.native.kernel_selection import uses_csc
from spikewright.engines.operators import DelayedLinear, Linear
from spikewright.network.transforms import Sparse


def add_sparse(b: Buffers, op: Linear, transform: Sparse) -> None:
    """Add a sparse map of counts in bytes, or of values."""
    if uses_csc(transform, op.inputs[0] in b.op.counts):
        _add_senders(b, op, transform)
    else:
        _add_rows(b, op, transform)


def _add_senders(b: Buffers, op: Linear, transform: Sparse) -> None:
    (signal,) = op.inputs
    lists = CscWeights.of(transform)
    number = b.kernels.csc(
        input=b.buffer_in(signal),
        output=b.buffer(False, op.output),
        form=lists.form,
        parts=lists.parts,
        factor=op.factor,
    )
    b.packings.append(CscPacking(op.label, number, lists))


def _add_rows(b: Buffers, op: Linear, transform: Sparse) -> None:
    """Add a map by rows: every row sums its entries in the order of their columns."""
    (signal,) = op.inputs
    order = np.lexsort((transform.columns, transform.rows))
    counts = np.bincount(transform.rows, minlength=b.size(op.output))
    source = b.buffer_in(signal)
    b.kernels.sparse(
        input=source,
        output=b.buffer(False, op.output),
        starts=np.concatenate([[0], np.cumsum(counts)]).tolist(),
        columns=transform.columns[order],
        values=np.asarray(transform.values, np.float64)[order],
        factor=op.factor,
    )


def add_delayed_sparse(b: Buffers, op: DelayedLinear) -> None:
    """Add a sparse map with delays; in a loop it gives its output first and reads spikes last."""
    (signal,) = op.inputs
    lists = DelayedCscWeights(op)
    rows = b.memory([op], np.zeros((op.rows, b.size(op.output))))
    number = b.kernels.delayed_csc(
        loops=b.op.loops,
        input=-1 if b.op.loops else b.buffer_in(signal),
        output=b.buffer(False, op.output),
        senders=lists.senders,
        steps=op.rows,
        parts=lists.parts,
        rows=rows,
        factor=op.factor,
    )
    b.packings.append(DelayedCscPacking(op.label, number, lists))
    if b.op.loops:
        b.step_end.append(lambda: b.kernels.send(number, input=b.buffer_in(signal)))
