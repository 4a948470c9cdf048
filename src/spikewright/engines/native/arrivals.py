"""Sparse weights with delays, described to the kernels."""

from __future__ import annotations

import numpy as np

from spikewright.engines.native.buffers import Buffers, OperatorState
from spikewright.engines.native.senders import ArrivalFilling, DelayedLists
from spikewright.engines.operators import DelayedLinear


def add_arrivals(b: Buffers, op: DelayedLinear) -> None:
    """A sparse map with delays: over a block, or, in a loop, arrivals now and spikes at the end."""
    (signal,) = op.inputs
    lists = DelayedLists(op)
    shape = (op.rows, *b.program.shapes[op.output])
    rows = b.kernels.memory(np.zeros(shape).ravel())
    b.kept[op] = OperatorState({"kept": rows}, {"kept": None}, {"kept": shape})
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
