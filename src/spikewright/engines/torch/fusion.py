"""A sum behind a matrix product or convolution becomes its bias, which saves a pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.factors import shared_row
from spikewright.engines.grid import on_grid
from spikewright.engines.operators import Linear, Operator, ScaledSum
from spikewright.engines.program import Component, Program
from spikewright.network.transforms import AxisMap, Convolution, Dense, Shape, Transform


@dataclass(frozen=True, eq=False)
class BiasedLinear(Linear):
    """`y = factor * transform(x) + bias`, `bias` `(out,)`, for `Dense` and `Convolution`."""

    bias: NDArray | None = None


def fuse(program: Program) -> Program:
    """The program with `BiasedLinear` in place of a product and the sum that alone reads it.

    A sum stays where it has several inputs, where its product is recorded or read elsewhere, or
    where gain and bias differ within an output channel.
    """
    program = _on_grid(program)
    readers = Counter(s for op in program.operators for s in op.inputs)
    readers.update(recording.signal for recording in program.recordings)
    products = {
        op.output: op
        for component in program.components
        for op in component.operators
        if isinstance(op, Linear) and not component.loops and readers[op.output] == 1
    }
    fused: dict[Operator, Operator | None] = {}
    for component in program.components:
        (op, *others) = component.operators
        if others or component.loops or not isinstance(op, ScaledSum) or len(op.inputs) != 1:
            continue
        product = products.get(op.inputs[0])
        affine = None if product is None else _merged(product, op, program.shapes[op.output])
        if product is not None and affine is not None:
            fused[product], fused[op] = None, affine
    components = [c for c in (_replaced(c, fused) for c in program.components) if c is not None]
    return replace(program, components=tuple(components))


_WEIGHT_FIELDS: dict[type[Transform], str] = {
    Dense: "matrix",
    Convolution: "kernel",
    AxisMap: "matrix",
}


def _on_grid(program: Program) -> Program:
    """The program with the weights of its linear maps on the precision's grid.

    Those that meet analog values stay as they are given, with all of their bits.
    """

    def held(op: Operator) -> Operator:
        name = _WEIGHT_FIELDS.get(type(op.transform)) if isinstance(op, Linear) else None
        if name is None or not isinstance(op, Linear) or op.compensation is not None:
            return op
        weights = on_grid(getattr(op.transform, name), program.precision)
        return replace(op, transform=replace(op.transform, **{name: weights}))  # type: ignore[type-var]

    components = (
        replace(one, operators=tuple(map(held, one.operators))) for one in program.components
    )
    return replace(program, components=tuple(components))


def _replaced(component: Component, fused: dict[Operator, Operator | None]) -> Component | None:
    (op, *_) = component.operators
    if op not in fused:
        return component
    new = fused[op]
    return None if new is None else replace(component, operators=(new,))


def _merged(product: Linear, total: ScaledSum, shape: Shape) -> BiasedLinear | None:
    """One operator for both, or None where gain and bias are no constants per output channel."""
    transform = product.transform
    if isinstance(transform, Dense):
        axis, name, weight = -1, "matrix", transform.matrix
    elif isinstance(transform, Convolution):
        axis, name, weight = -1 if transform.channels_last else 0, "kernel", transform.kernel
    else:
        return None
    gain = _per_channel(1.0 if total.gain is None else total.gain, shape, axis)
    bias = _per_channel(0.0 if total.bias is None else total.bias, shape, axis)
    if gain is None or bias is None:
        return None
    if np.any(gain != 1.0):
        weight = weight * gain.reshape(-1, *(1,) * (weight.ndim - 1))
        transform = replace(transform, **{name: weight})
    return BiasedLinear(
        total.label, product.inputs, total.output, transform, product.factor,
        bias=bias if np.any(bias) else None,
    )  # fmt: skip


def _per_channel(value: NDArray | float, shape: Shape, axis: int) -> NDArray | None:
    """`(channels,)` of an array for `shape`; None where it differs within a channel."""
    rows = np.moveaxis(np.broadcast_to(value, shape), axis, -1)
    return shared_row(rows.reshape(-1, shape[axis]))
