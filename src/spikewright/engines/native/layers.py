"""Layers of weights: matrix products and convolutions, with their only readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import split_shape
from spikewright.engines.grid import integer_weights
from spikewright.engines.native.filling import Filling, Weights
from spikewright.engines.native.integrators import integrators
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

    A sum with a shortcut is made by its layer, with its other terms.
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
    """A layer and its fused operators; `output` is stored in `order`, `pieces` of `pixels`."""

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
        weights: Sequence[Weights],
        fan_in: int,
    ) -> None:
        """A kernel for every piece: where it reads, and its weights.

        `fan_in` is the number of inputs of an output, as the reference counts them.
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
        for i, made in enumerate(weights):
            number = b.kernels.layer(
                sources[i],
                target if self.pieces == 1 else b.kernels.view(target, i * size, size, False),
                populations[i],
                how,
                geometry,
                gain is not None,
                gains[i],
                biases[i],
            )
            b.fillings.append(Filling(op.label, number, how, geometry, made, op.factor))
            if self.shortcut is not None and joined is not None:
                b.kernels.join(joined, self.shortcut.factor(b, order, self.pixels))
            if op.inputs[0] not in b.op.counts:
                add_analog(b, fan_in)
        b.fused.update(o for o in (self.sum, self.neurons) if o is not None)


def _ends(b: Builder, op: Linear, how: str, order: Order, pixels: int, pieces: int = 1) -> _Ends:
    """The operators that a layer is fused with."""
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
    order: Order = None
    if len(shape) == 1:
        source, order = b.held(signal).buffer, b.held(signal).order
    else:
        source = b.held_in(signal, None)

    def weights() -> tuple[NDArray, NDArray]:
        integers, steps = integer_weights(transform.matrix)
        return (integers if order is None else integers[:, order])[:, None], steps

    geometry = [1, pixels, inner, 1, pixels, out, 1, 1, 1, 1, 0, 0, 1, 1]
    how = _how(b, signal)
    ends = _ends(b, op, how, None, pixels)
    ends.add(how, [source], _doubled(how, geometry), [weights], inner)


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


def _integer_taps(kernel: NDArray) -> tuple[NDArray, NDArray]:
    """Integers `(out, taps, channels)` of a kernel `(out, channels, *size)`."""
    return integer_weights(np.moveaxis(kernel, 1, -1).reshape(len(kernel), -1, kernel.shape[1]))


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
    weights = partial(_integer_taps, transform.kernel)
    ends.add(how, [source], _doubled(how, geometry), [weights], transform.kernel[0].size)


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
    weights = partial(_integer_taps, transform.kernel)
    ends.add("depthwise", [source], geometry, [weights], transform.kernel[0].size)


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
    kernels = transform.kernel.reshape(pieces, merged, outer, inner, -1)
    weights = [partial(_merged, kernel) for kernel in kernels]
    ends.add(how, sources, _doubled(how, geometry), weights, transform.kernel[0].size)


def _merged(kernel: NDArray) -> tuple[NDArray, NDArray]:
    """Integers of groups `(groups, out, channels, taps)` that are computed as one layer."""
    groups, outer, inner, taps = kernel.shape
    whole = np.zeros((groups, outer, taps, groups, inner), kernel.dtype)
    for i in range(groups):
        whole[i, :, :, i] = kernel[i].swapaxes(1, 2)
    return integer_weights(whole.reshape(groups * outer, taps, groups * inner))
