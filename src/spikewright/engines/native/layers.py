"""Layers of weights: matrix products and convolutions, with what alone reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright._windows import split_shape
from spikewright.engines.grid import integer_weights
from spikewright.engines.native.lanes import budgets, lane_widths
from spikewright.engines.native.orders import Order, channels_last_order, plane
from spikewright.engines.native.parts import add_analog
from spikewright.engines.native.support import is_integrator
from spikewright.engines.program import Linear, Neurons, Sum
from spikewright.network.transforms import Convolution, Dense

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder


def add_layer(b: Builder, op: Linear) -> None:
    """A matrix product or convolution with the sum and the population that alone read it."""
    total = b.alone(op.output, Sum)
    if total is not None and len(total.inputs) != 1:
        total = None
    neurons = None if total is None else b.alone(total.output, Neurons)
    if neurons is not None and not (op.inputs[0] in b.op.counts and is_integrator(neurons)):
        neurons = None
    if total is not None and total.output in b.op.counts:
        total = neurons = None
    (signal,) = op.inputs
    output = next(o for o in (neurons, total, op) if o is not None).output
    source, geometry, weights, order, pixels = _weights(b, op, signal)
    integers, steps = integer_weights(weights)
    rows = integers.reshape(len(integers), -1).T.copy()
    channels = rows.shape[1]
    gain = None if total is None else total.gain
    bias = None if total is None else total.bias
    population = -1
    if neurons is not None:
        population = b.population(neurons, order, pixels)
    b.kernels.layer(
        source,
        b.buffer(neurons is not None, output, order),
        population,
        geometry,
        rows,
        lane_widths(channels, len(rows)),
        np.ascontiguousarray(steps * op.factor),
        budgets(rows),
        gain is not None,
        b.per_pixel(1.0 if gain is None else gain, output, order, pixels),
        b.per_pixel(0.0 if bias is None else bias, output, order, pixels),
    )
    if signal not in b.op.counts:
        add_analog(b, len(rows))
    b.fused.update(o for o in (total, neurons) if o is not None)


def _weights(b: Builder, op: Linear, signal: int) -> tuple[int, list[int], NDArray, Order, int]:
    """Source buffer, geometry, weights `(out, ...)`; order and pixels of the output."""
    transform = op.transform
    shape = b.program.shapes[signal]
    out_shape = b.program.shapes[op.output]
    if isinstance(transform, Dense):
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
        return source, geometry, matrix, None, pixels
    if not isinstance(transform, Convolution):
        raise TypeError(f"{op.label}: a {type(transform).__name__} has no weights")
    last = transform.channels_last
    spatial, channels = split_shape(shape, last)
    extent, out = split_shape(out_shape, last)
    w = transform.windows
    source = b.held_in(signal, channels_last_order(shape, last))
    geometry = [
        *plane(spatial, 1), channels, *plane(extent, 1), out, *plane(w.size, 1),
        *plane(w.stride, 1), *plane([before for before, _ in w.padding], 0),
        *plane(w.dilation, 1),
    ]  # fmt: skip
    kernel = np.moveaxis(transform.kernel, 1, -1)
    order = channels_last_order(out_shape, last)
    return source, geometry, kernel, order, int(np.prod(extent))
