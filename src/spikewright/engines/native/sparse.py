"""Sparse maps: of spikes by sender, whose lists they add; of values row by row."""

from __future__ import annotations

import numpy as np

from spikewright.engines.native._kernels import MOST_RECEIVERS
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.senders import SenderFilling, form_of
from spikewright.engines.native.support import by_sender
from spikewright.engines.program import Linear
from spikewright.network.transforms import Sparse

_LEAST_ENTRIES = 128  # of a sender in a block: shorter lists cost more to find than to add
_MOST_BLOCKS = 8  # that threads share, beyond those that a cache asks for


def add_sparse(b: Buffers, op: Linear, transform: Sparse) -> None:
    """A sparse map of counts in bytes, or of values."""
    if by_sender(transform, op.inputs[0] in b.op.counts):
        _add_senders(b, op, transform)
    else:
        _add_rows(b, op, transform)


def _add_senders(b: Buffers, op: Linear, transform: Sparse) -> None:
    (signal,) = op.inputs
    long = len(transform.values) // max(1, _LEAST_ENTRIES * transform.size_in)
    blocks = max(1, min(_MOST_BLOCKS, long), -(-b.size(op.output) // MOST_RECEIVERS))
    number = b.kernels.senders(
        input=b.held_in(signal),
        output=b.buffer(False, op.output),
        form=form_of(transform),
        blocks=blocks,
        factor=op.factor,
    )
    b.fillings.append(SenderFilling(op.label, number, transform, blocks))


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
