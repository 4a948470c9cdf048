"""Layers of weights: matrix products and convolutions, with what alone reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright._windows import split_shape
from spikewright.engines.grid import integer_weights
from spikewright.engines.native.integrators import integrators
from spikewright.engines.native.lanes import budgets, depthwise_budgets, lane_widths
from spikewright.engines.native.orders import (
    Order,
    as_index,
    channels_last_order,
    grouped_order,
    plane,
    positions,
)
from spikewright.engines.native.parts import add_analog
from spikewright.engines.native.shortcuts import Shortcut
from spikewright.engines.native.support import is_integrator
from spikewright.engines.program import Linear, Neurons, Sum
from spikewright.network.transforms import Convolution, Dense, Shape

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder

_MERGED_LANES = 32  # groups are merged up to so many outputs: fewer are padded to whole vectors


def add_layer(b: Builder, op: Linear) -> None:
    """A matrix product or convolution with the sum and the population that alone read it.

    A sum that has a shortcut is made by its layer, with what else arrives there.
    """
    if isinstance(op.transform, Dense):
        _add_dense(b, op, op.transform)
    elif not isinstance(op.transform, Convolution):
        raise TypeError(f"{op.label}: a {type(op.transform).__name__} has no weights")
    elif op.transform.groups == 1:
        _add_convolution(b, op, op.transform)
    elif op.transform.kernel.shape[1] == 1:
        _add_depthwise(b, op, op.transform)
    else:
        _add_grouped(b, op, op.transform)


@dataclass(frozen=True)
class _Ends:
    """A layer with what it is fused with; `output` is stored in `order`, `pieces` of `pixels`."""

    b: Builder
    op: Linear
    sum: Sum | None
    neurons: Neurons | None
    order: Order
    pixels: int
    pieces: int = 1
    shortcut: Shortcut | None = None

    @property
    def output(self) -> int:
        """The last signal that is made."""
        return next(o for o in (self.neurons, self.sum, self.op) if o is not None).output

    def add(
        self,
        how: str,
        sources: list[int],
        geometry: list[int],
        weights: list[NDArray],
        fan_in: int,
    ) -> None:
        """A kernel for every piece: where it reads, and its weights `(out, taps, channels)`.

        `fan_in` is how many inputs an output has, as the reference counts them.
        """
        b, op, order = self.b, self.op, self.order
        target = b.buffer(self.neurons is not None, self.output, order)
        gain = None if self.sum is None else self.sum.gain
        bias = None if self.sum is None else self.sum.bias
        shape = (order, self.pixels, self.pieces)
        gains = b.per_pixel(1.0 if gain is None else gain, self.output, *shape)
        biases = b.per_pixel(0.0 if bias is None else bias, self.output, *shape)
        populations = [-1] * self.pieces
        if self.neurons is not None:
            populations = integrators(b, self.neurons, *shape)
        size = b.size(self.output) // self.pieces
        joined = None if self.shortcut is None else self.shortcut.source(b, order)
        for i, kernel in enumerate(weights):
            integers, steps = integer_weights(kernel)
            rows = _rows(how, integers)
            limits = _limits(how, integers)
            b.kernels.layer(
                sources[i],
                target if self.pieces == 1 else b.kernels.view(target, i * size, size, False),
                populations[i],
                how,
                geometry,
                rows,
                lane_widths(rows.shape[1], len(rows)),
                np.ascontiguousarray(steps * op.factor),
                limits,
                gain is not None,
                gains[i],
                biases[i],
            )
            if self.shortcut is not None and joined is not None:
                b.kernels.join(joined, self.shortcut.factor(b, order, self.pixels))
            if op.inputs[0] not in b.op.counts:
                add_analog(b, fan_in)
        b.fused.update(o for o in (self.sum, self.neurons) if o is not None)


def _rows(how: str, integers: NDArray) -> NDArray:
    """Weights `(out, taps, channels)` as rows of `(out,)`."""
    out = len(integers)
    rows = np.ascontiguousarray(np.moveaxis(integers, 0, -1))
    if how == "signed":  # of what is above zero, then of what is below
        rows = np.concatenate([rows, -rows], axis=1)
    return np.ascontiguousarray(rows.reshape(-1, out))


def _limits(how: str, integers: NDArray) -> list[int]:
    """How many events have sums within 32 bits; a signed one may add or subtract its weight."""
    rows = _rows("events", integers)
    if how == "depthwise":
        return depthwise_budgets(rows)
    return budgets(np.abs(rows) if how == "signed" else rows)


def _ends(b: Builder, op: Linear, how: str, order: Order, pixels: int, pieces: int = 1) -> _Ends:
    """What a layer is fused with."""
    total = b.alone(op.output, Sum)
    shortcut = b.shortcuts.get(total)
    joins = shortcut is not None and shortcut.layer is op
    if total is not None and not joins and (len(total.inputs) != 1 or total.output in b.op.counts):
        total = None
    neurons = None if total is None else b.alone(total.output, Neurons)
    currents = how == "events" and op.inputs[0] not in b.op.counts
    if neurons is not None and (currents or not is_integrator(neurons)):
        neurons = None
    return _Ends(b, op, total, neurons, order, pixels, pieces, shortcut if joins else None)


def _how(b: Builder, signal: int) -> str:
    return "signed" if signal in b.op.whole else "events"


def _doubled(how: str, geometry: list[int]) -> list[int]:
    return [*geometry[:2], 2 * geometry[2], *geometry[3:]] if how == "signed" else geometry


def _add_dense(b: Builder, op: Linear, transform: Dense) -> None:
    (signal,) = op.inputs
    shape = b.program.shapes[signal]
    out, inner = transform.matrix.shape
    pixels = int(np.prod(shape[:-1]))
    matrix = transform.matrix
    if len(shape) == 1:
        stored = b.held(signal)
        source = stored.buffer
        matrix = matrix if stored.order is None else matrix[:, stored.order]
    else:
        source = b.held_in(signal, None)
    geometry = [1, pixels, inner, 1, pixels, out, 1, 1, 1, 1, 0, 0, 1, 1]
    how = _how(b, signal)
    ends = _ends(b, op, how, None, pixels)
    ends.add(how, [source], _doubled(how, geometry), [matrix[:, None]], inner)


def _geometry(
    transform: Convolution, shape: Shape, out_shape: Shape, channels: int, out: int
) -> list[int]:
    spatial, _ = split_shape(shape, transform.channels_last)
    extent, _ = split_shape(out_shape, transform.channels_last)
    w = transform.windows
    return [
        *plane(spatial, 1), channels, *plane(extent, 1), out, *plane(w.size, 1),
        *plane(w.stride, 1), *plane([before for before, _ in w.padding], 0),
        *plane(w.dilation, 1),
    ]  # fmt: skip


def _taps(kernel: NDArray) -> NDArray:
    """`(out, taps, channels)` of `(out, channels, *size)`."""
    return np.moveaxis(kernel, 1, -1).reshape(len(kernel), -1, kernel.shape[1])


def _add_convolution(b: Builder, op: Linear, transform: Convolution) -> None:
    (signal,) = op.inputs
    shape, out_shape = b.program.shapes[signal], b.program.shapes[op.output]
    last = transform.channels_last
    extent, out = split_shape(out_shape, last)
    source = b.held_in(signal, channels_last_order(shape, last))
    geometry = _geometry(transform, shape, out_shape, transform.kernel.shape[1], out)
    how = _how(b, signal)
    order = channels_last_order(out_shape, last)
    ends = _ends(b, op, how, order, int(np.prod(extent)))
    kernels = [_taps(transform.kernel)]
    ends.add(how, [source], _doubled(how, geometry), kernels, kernels[0][0].size)


def _add_depthwise(b: Builder, op: Linear, transform: Convolution) -> None:
    """Channels with several kernels are read several times."""
    (signal,) = op.inputs
    shape, out_shape = b.program.shapes[signal], b.program.shapes[op.output]
    last = transform.channels_last
    extent, out = split_shape(out_shape, last)
    order = channels_last_order(shape, last)
    times = out // transform.groups
    if times == 1:
        source = b.held_in(signal, order)
    else:
        stored = b.held(signal)
        where = positions(stored.order, b.size(signal))
        source = b.scratch(signal in b.op.counts, times * b.size(signal))
        index = np.repeat(where if order is None else where[order], times)
        b.kernels.take(stored.buffer, source, as_index(index))
    geometry = _geometry(transform, shape, out_shape, out, out)
    out_order = channels_last_order(out_shape, last)
    ends = _ends(b, op, "depthwise", out_order, int(np.prod(extent)))
    kernels = [_taps(transform.kernel)]
    ends.add("depthwise", [source], geometry, kernels, kernels[0][0].size)


def _add_grouped(b: Builder, op: Linear, transform: Convolution) -> None:
    """A layer for every few groups, each on a part of the channels that lies by itself."""
    (signal,) = op.inputs
    shape, out_shape = b.program.shapes[signal], b.program.shapes[op.output]
    last, groups = transform.channels_last, transform.groups
    extent, out = split_shape(out_shape, last)
    outer, inner = out // groups, transform.kernel.shape[1]
    merged = max(
        n
        for n in range(1, groups + 1)
        if groups % n == 0 and (n == 1 or n * outer <= _MERGED_LANES)
    )
    pieces = groups // merged
    source = b.whole(b.held_in(signal, grouped_order(shape, last, pieces)), signal)
    size = b.size(signal) // pieces
    sources = [b.kernels.view(source, i * size, size, False) for i in range(pieces)]
    how = _how(b, signal)
    geometry = _geometry(transform, shape, out_shape, merged * inner, merged * outer)
    order = grouped_order(out_shape, last, pieces)
    ends = _ends(b, op, how, order, int(np.prod(extent)), pieces)
    kernels = _taps(transform.kernel).reshape(pieces, merged, outer, -1, inner)
    weights = np.zeros((pieces, merged, outer, kernels.shape[3], merged, inner), kernels.dtype)
    for i in range(merged):
        weights[:, i, :, :, i] = kernels[:, i]
    joined = weights.reshape(pieces, merged * outer, -1, merged * inner)
    ends.add(how, sources, _doubled(how, geometry), list(joined), kernels.shape[3] * inner)
