"""Layers of weights: matrix products and convolutions, fused with the operators behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import split_shape
from spikewright.engines.compensation import grid_of
from spikewright.engines.native._kernels import Action, Geometry
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.neuron_kernels import in_blocks
from spikewright.engines.native.orders import (
    Order,
    channels_last_order,
    geometry_of,
    grouped_order,
    positions,
)
from spikewright.engines.native.populations import blocks
from spikewright.engines.native.region_operators import limbs_of
from spikewright.engines.native.residual_fusion import Shortcut, shortcut_of
from spikewright.engines.native.weight_packing import LayerPacking, WeightSource, event_list_bytes
from spikewright.engines.operators import Linear, ScaledSum
from spikewright.engines.populations import Neurons
from spikewright.engines.spike_scaling import channels_scaled
from spikewright.network.transforms import Convolution, Dense, Shape

_MERGED_LANES = 32  # groups are merged up to so many outputs: fewer are padded to whole vectors


def add_layer(b: Buffers, op: Linear, transform: Dense | Convolution) -> None:
    """Add a matrix product or convolution, fused with the sum and the population behind it."""
    if isinstance(transform, Dense):
        _add_dense(b, op, transform)
    elif transform.groups == 1:
        _add_convolution(b, op, transform)
    elif transform.kernel.shape[1] == 1:
        _add_depthwise(b, op, channels_scaled(transform, op.heights))
    else:
        _add_grouped(b, op, channels_scaled(transform, op.heights))


def add_sum(b: Buffers, op: ScaledSum) -> None:
    """Add a sum of counts or values; one with a residual shortcut is added with its layer."""
    shortcut = shortcut_of(b, op)
    if shortcut is not None:
        add_layer(b, shortcut.layer, shortcut.transform)
    elif len(op.inputs) == 1 and op.gain is None and op.bias is None:
        b.stored[op.output] = b.locate(op.inputs[0])
    else:
        b.combine(op, {}, op.gain, op.bias)


@dataclass(frozen=True)
class _FusedLayer:
    """A layer and the operators fused with it.

    The output is stored in `order`, as `pieces` of `pixels` each.
    """

    b: Buffers
    op: Linear
    sum: ScaledSum | None
    neurons: Neurons | None
    order: Order
    pixels: int
    pieces: int = 1
    shortcut: Shortcut | None = None

    @property
    def output(self) -> int:
        """The output of the last fused operator."""
        return next(o for o in (self.neurons, self.sum, self.op) if o is not None).output

    def add(
        self,
        action: Action,
        sources: list[int],
        geometry: Geometry,
        weights: Sequence[Callable[[], WeightSource]],
        fan_in: int,
    ) -> None:
        """Add a kernel for every piece, given its source and its weights.

        `fan_in` is the number of inputs of an output, as the reference engine counts them.
        """
        b, op, order, total = self.b, self.op, self.order, self.sum
        target = b.buffer(self.neurons is not None, self.output, order)
        gain = None if total is None else total.gain
        bias = 0.0 if total is None or total.bias is None else total.bias
        shape = (order, self.pixels, self.pieces)
        gains = None if gain is None else b.per_pixel(gain, self.output, *shape)
        biases = b.per_pixel(bias, self.output, *shape)
        populations = [-1] * self.pieces
        if self.neurons is not None:
            populations = blocks(b, self.neurons, *shape)
        size = b.size(self.output) // self.pieces
        shortcut, counts = self.shortcut, op.inputs[0] in b.op.counts
        grid = grid_of(b.program.precision, op.compensation)
        _, limbs = grid.input_limbs(fan_in)
        ahead = b.ahead.get(op.inputs[0])
        for i, made in enumerate(weights):
            number = b.kernels.layer(
                action=action,
                input=sources[i],
                output=target if self.pieces == 1 else _view(b, target, i, size),
                population=populations[i],
                geometry=geometry,
                gain=None if gains is None else gains[i],
                bias=biases[i],
                joined=-1 if shortcut is None else b.buffer_in(shortcut.signal, order),
                factor=None if shortcut is None else shortcut.factor(b, order, self.pixels),
                limbs=limbs_of(b, fan_in, op.compensation),
                weight_limbs=grid.weight_limbs,
                ahead=0 if ahead is None else ahead.steps,
                heights=() if ahead is None else ahead.heights,
            )
            tiled = b.kernels.tiled_bytes(number) > 0
            b.event_list_bytes = b.event_list_bytes.largest(
                event_list_bytes(action, geometry, counts, tiled, limbs)
            )
            b.packings.append(
                LayerPacking(
                    label=op.label,
                    number=number,
                    action=action,
                    geometry=geometry,
                    weights=made,
                    factor=op.factor,
                    precision=b.program.precision,
                    compensation=op.compensation,
                )
            )
        b.fused.update(o for o in (self.sum, self.neurons) if o is not None)


def _view(b: Buffers, buffer: int, number: int, size: int) -> int:
    """One of a buffer's pieces of equal size."""
    return b.kernels.view(buffer, offset=number * size, size=size)


def _fuse(
    b: Buffers, op: Linear, action: Action, order: Order, pixels: int, pieces: int = 1
) -> _FusedLayer:
    """The layer with the operators that it is fused with."""
    total = b.only_reader(op.output, ScaledSum)
    shortcut = None if total is None else shortcut_of(b, total)
    joins = shortcut is not None and shortcut.layer is op
    if total is not None and not joins and (len(total.inputs) != 1 or total.output in b.op.counts):
        total = None
    neurons = None if total is None else b.only_reader(total.output, Neurons)
    if neurons is not None and not in_blocks(neurons, b.program.dt):
        neurons = None
    return _FusedLayer(
        b=b,
        op=op,
        sum=total,
        neurons=neurons,
        order=order,
        pixels=pixels,
        pieces=pieces,
        shortcut=shortcut if joins else None,
    )


def _action(b: Buffers, signal: int) -> Action:
    """The kernel that sums weights over a signal, all channels at once."""
    if signal in b.op.whole:
        return Action.signed_layer
    return Action.layer if signal in b.op.counts else Action.analog


def _add_dense(b: Buffers, op: Linear, transform: Dense) -> None:
    (signal,) = op.inputs
    shape = b.program.shapes[signal]
    out, inner = transform.matrix.shape
    pixels = int(np.prod(shape[:-1]))
    order: Order = None
    if len(shape) == 1:
        source, order = b.locate(signal).buffer, b.locate(signal).order
    else:
        source = b.buffer_in(signal)
    weights = partial(WeightSource, transform.matrix, order, transform.matrix, op.heights, op.steps)
    geometry = Geometry(input=[1, pixels, inner], output=[1, pixels, out])
    action = _action(b, signal)
    ends = _fuse(b, op, action, None, pixels)
    ends.add(action, [source], geometry, [weights], inner)


def _by_taps(kernel: NDArray, heights: NDArray | None, steps: NDArray | None) -> WeightSource:
    """Weights `(out, taps, channels)` of a kernel `(out, channels, *size)`."""
    channels = kernel.shape[1]
    places = np.arange(kernel[0].size).reshape(channels, -1)
    order = None if 1 in places.shape else places.T.ravel()
    each = None if heights is None else np.repeat(heights, places.shape[1])
    return WeightSource(kernel, order, kernel, each, steps)


def _add_convolution(b: Buffers, op: Linear, transform: Convolution) -> None:
    (signal,) = op.inputs
    shapes = (b.program.shapes[signal], b.program.shapes[op.output])
    order, out_order = (channels_last_order(shape, transform.channels_last) for shape in shapes)
    source = b.buffer_in(signal, order)
    geometry = geometry_of(transform.windows, transform.channels_last, shapes)
    action = _action(b, signal)
    ends = _fuse(b, op, action, out_order, _pixels(transform, shapes[1]))
    weights = partial(_by_taps, transform.kernel, op.heights, op.steps)
    ends.add(action, [source], geometry, [weights], transform.kernel[0].size)


def _pixels(transform: Convolution, shape: Shape) -> int:
    """The number of pixels of an output."""
    return int(np.prod(split_shape(shape, transform.channels_last)[0]))


def _add_depthwise(b: Buffers, op: Linear, transform: Convolution) -> None:
    """Add a depthwise convolution; channels with several kernels are repeated in the input."""
    (signal,) = op.inputs
    shapes = (b.program.shapes[signal], b.program.shapes[op.output])
    order, out_order = (channels_last_order(shape, transform.channels_last) for shape in shapes)
    out = len(transform.kernel)
    times = out // transform.groups
    if times == 1:
        source = b.buffer_in(signal, order)
    else:
        stored = b.locate(signal)
        where = positions(stored.order, b.size(signal))
        index = np.repeat(where if order is None else where[order], times)
        source = b.gathered(signal, stored.buffer, index)
    geometry = geometry_of(transform.windows, transform.channels_last, shapes, (out, out))
    ends = _fuse(b, op, Action.depthwise, out_order, _pixels(transform, shapes[1]))
    weights = partial(_by_taps, transform.kernel, None, op.steps)
    ends.add(Action.depthwise, [source], geometry, [weights], transform.kernel[0].size)


def _add_grouped(b: Buffers, op: Linear, transform: Convolution) -> None:
    """Add a grouped convolution: a layer for every few groups, each on a part of the channels."""
    (signal,) = op.inputs
    shapes = (b.program.shapes[signal], b.program.shapes[op.output])
    last, groups = transform.channels_last, transform.groups
    outer, inner = len(transform.kernel) // groups, transform.kernel.shape[1]
    merged = max(
        n
        for n in range(1, groups + 1)
        if groups % n == 0 and (n == 1 or n * outer <= _MERGED_LANES)
    )
    pieces = groups // merged
    order, out_order = (grouped_order(shape, last, pieces) for shape in shapes)
    source = b.buffer_in(signal, order)
    if source in b.roots:  # a part of a buffer has no parts itself
        source = b.gathered(signal, source, np.arange(b.size(signal)))
    sources = [_view(b, source, i, b.size(signal) // pieces) for i in range(pieces)]
    action = _action(b, signal)
    geometry = geometry_of(transform.windows, last, shapes, (merged * inner, merged * outer))
    ends = _fuse(b, op, action, out_order, _pixels(transform, shapes[1]), pieces)
    kernels = transform.kernel.reshape(pieces, merged, outer, inner, -1)
    each = [None] * pieces if op.steps is None else op.steps.reshape(pieces, -1)
    weights = [partial(_merged, kernel, steps) for kernel, steps in zip(kernels, each, strict=True)]
    ends.add(action, sources, geometry, weights, transform.kernel[0].size)


def _merged(kernel: NDArray, steps: NDArray | None) -> WeightSource:
    """Kernels of groups `(groups, out, channels, taps)` merged into one layer."""
    groups, outer, inner, taps = kernel.shape
    whole = np.zeros((groups, outer, taps, groups, inner), kernel.dtype)
    for i in range(groups):
        whole[i, :, :, i] = kernel[i].swapaxes(1, 2)
    return WeightSource(whole.reshape(groups * outer, -1), steps=steps)
