"""Fusion of residual sums: the kernel of a layer adds its shortcut too.

So neither the shortcut's values nor the layer's own currents are stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.orders import Order
from spikewright.engines.operators import Linear, ScaledSum
from spikewright.network.transforms import Convolution, Dense, Scale


@dataclass(frozen=True, eq=False)
class Shortcut:
    """A residual sum: the output of `layer` plus `signal`, times the factor of `scale`, if any."""

    total: ScaledSum
    layer: Linear
    signal: int
    scale: Linear | None

    @property
    def transform(self) -> Dense | Convolution:
        """The layer's transform, which has weights."""
        if not isinstance(self.layer.transform, Dense | Convolution):
            raise TypeError(f"{self.layer.label}: a layer has weights")
        return self.layer.transform

    @property
    def fused_operators(self) -> tuple[Linear, ...]:
        """The operators that are computed with the sum, when all its inputs exist."""
        return (self.layer,) if self.scale is None else (self.layer, self.scale)

    def factor(self, b: Buffers, order: Order, pixels: int) -> NDArray:
        """The factor of the shortcut's counts, `(pixels or 1, channels)`."""
        factor = 1.0 if self.scale is None else _single(self.scale)
        (rows,) = b.per_pixel(factor, self.total.output, order, pixels)
        return rows


def shortcuts(b: Buffers) -> dict[ScaledSum, Shortcut]:
    """The residual sums of a region that are fused with a layer's kernel."""
    sums = (op for op in b.op.operators if isinstance(op, ScaledSum))
    found = (shortcut_of(b, op) for op in sums)
    return {one.total: one for one in found if one is not None}


def shortcut_of(b: Buffers, op: ScaledSum) -> Shortcut | None:
    """The shortcut of a sum of two terms, one of them a layer; None for other sums.

    A sum of two terms is the same in either order.
    """
    if b.op.loops:  # there one step at a time is computed, and lists of events are not faster
        return None
    if len(set(op.inputs)) != 2 or len(op.inputs) != 2 or op.output in b.op.counts:
        return None
    if len(b.program.shapes[op.output]) < 2:  # sums of vectors may run as one batch
        return None
    for signal, other in (op.inputs, op.inputs[::-1]):
        layer = b.producer_of.get(signal)
        if (
            isinstance(layer, Linear)
            and b.only_reader(signal, ScaledSum) is op
            and _sums_events(b, layer)
        ):
            scale = _scale_of(b, other, op)
            brought = other if scale is None else scale.inputs[0]
            if b.inside(brought):
                return Shortcut(op, layer, brought, scale)
    return None


def _sums_events(b: Buffers, op: Linear) -> bool:
    """Whether a layer's kernel sums weights over lists of events, all channels at once."""
    (signal,) = op.inputs
    if signal not in b.op.counts and signal not in b.op.whole:
        return False
    if isinstance(op.transform, Dense):
        return True
    return isinstance(op.transform, Convolution) and op.transform.groups == 1


def _scale_of(b: Buffers, signal: int, total: ScaledSum) -> Linear | None:
    """The scale that makes a signal of counts, if it rounds once and only this sum reads it."""
    op = b.producer_of.get(signal)
    if not isinstance(op, Linear) or not isinstance(op.transform, Scale):
        return None
    once = op.factor == 1.0 or bool(np.all(np.asarray(op.transform.factor) == 1.0))
    alone = b.only_reader(signal, ScaledSum) is total
    return op if once and alone and op.inputs[0] in b.op.counts else None


def _single(scale: Linear) -> NDArray:
    """The factor of a scale that rounds once."""
    if not isinstance(scale.transform, Scale):
        raise TypeError(f"{scale.label}: no Scale")
    return np.asarray(scale.transform.factor, np.float64) * scale.factor
