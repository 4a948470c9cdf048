"""Batched operations: signals side by side in one buffer, so that one kernel serves all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.native._kernels import Term
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.orders import Order, positions
from spikewright.engines.operators import Linear, ScaledSum
from spikewright.network.transforms import Place


def concatenated(b: Buffers, signals: Sequence[int], order: Order = None) -> int:
    """A buffer with signals of one kind one after the other; a single one is in this order."""
    if len(signals) == 1:
        return b.buffer_in(signals[0], order)
    places = [b.root_of(signal) for signal in signals]
    sizes = [b.size(signal) for signal in signals]
    root, first = places[0]
    starts = first + np.cumsum([0, *sizes[:-1]])
    if places == [(root, int(at)) for at in starts]:
        return b.part(root, first, sum(sizes))
    where = [np.arange(at, at + size) for (_, at), size in zip(places, sizes, strict=True)]
    if all(other == root for other, _ in places):
        return b.gathered(signals[0], root, np.concatenate(where))
    target = b.scratch(signals[0] in b.op.counts, sum(sizes))
    at = 0
    for (source, _), index in zip(places, where, strict=True):
        b.kernels.take(input=source, output=b.part(target, at, len(index)), index=index)
        at += len(index)
    return target


def add_sums(b: Buffers, ops: Sequence[ScaledSum]) -> None:
    """Add sums of equally many terms, with or without gain and bias."""
    terms = [concatenated(b, [op.inputs[i] for op in ops]) for i in range(len(ops[0].inputs))]
    target = b.batched(False, [op.output for op in ops])

    def row(values: Sequence[NDArray | None]) -> NDArray | None:
        rows = [
            np.broadcast_to(value, b.program.shapes[op.output])
            for op, value in zip(ops, values, strict=True)
            if value is not None
        ]
        return np.concatenate(rows) if rows else None

    b.kernels.combine(
        output=target,
        terms=[Term(source=term) for term in terms],
        gain=row([op.gain for op in ops]),
        bias=row([op.bias for op in ops]),
    )


def add_gathers(b: Buffers, ops: Sequence[Linear], chosen: Sequence[NDArray]) -> None:
    """Add parts of one signal, each given by the indices of its elements."""
    (signal,) = ops[0].inputs
    stored = b.locate(signal)
    where = positions(stored.order, b.size(signal))
    target = b.batched(ops[0].output in b.op.counts, [op.output for op in ops])
    b.kernels.take(input=stored.buffer, output=target, index=where[np.concatenate(chosen)])


def placed_terms(b: Buffers, op: ScaledSum) -> list[Linear]:
    """The terms of a sum that `Place` a part and have no other reader; none in a plain sum."""
    if op.gain is not None or op.bias is not None or len(op.inputs) < 2:
        return []
    signals = (*op.inputs, op.output)
    if any(s in b.op.counts or len(b.program.shapes[s]) != 1 for s in signals):
        return []
    makers = (b.producer_of.get(s) for s in op.inputs if b.only_reader(s, ScaledSum) is op)
    return [
        maker
        for maker in makers
        if isinstance(maker, Linear) and isinstance(maker.transform, Place) and maker.factor == 1.0
    ]


def add_scatter(b: Buffers, op: ScaledSum, places: Sequence[Linear]) -> None:
    """Add a sum of parts at their places, and of whole signals, in the order of its terms."""
    size = b.size(op.output)
    makers = {place.output: place for place in places}
    covered = np.zeros(size, np.int64)
    sources: list[int] = []
    moves: list[list[NDArray]] = []
    for signal in op.inputs:
        place = makers.get(signal)
        root, at = b.root_of(signal if place is None else place.inputs[0])
        to = np.arange(size)
        if place is not None and isinstance(place.transform, Place):
            to = to.reshape(place.transform.shape)[place.transform.index].ravel()
        covered[to] += 1
        if not sources or sources[-1] != root:
            sources.append(root)
            moves.append([])
        moves[-1].append(np.stack([at + np.arange(len(to)), to]))
    start = np.where(covered == len(op.inputs), -0.0, 0.0)  # -0 + x is x whatever it is
    target = b.buffer(False, op.output)
    runs = [_runs(np.concatenate(m, axis=1)) for m in moves]
    b.kernels.scatter(output=target, start=start, sources=sources, runs=runs)


def _runs(moves: NDArray) -> NDArray:
    """Contiguous runs (from, to, count) of the single moves `(2, n)`."""
    apart = np.flatnonzero(np.any(np.diff(moves, axis=1) != 1, axis=0)) + 1
    starts = np.concatenate([[0], apart])
    counts = np.diff(np.concatenate([starts, [moves.shape[1]]]))
    return np.stack([*moves[:, starts], counts], axis=1)
