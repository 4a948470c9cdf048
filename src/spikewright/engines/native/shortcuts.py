"""Sums of a layer and one more signal, as residual networks have them: one kernel adds both.

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
    """The sum of the output of `layer` and `signal`: values, or counts times those of `scale`."""

    total: ScaledSum
    layer: Linear
    signal: int
    scale: Linear | None

    @property
    def transform(self) -> Dense | Convolution:
        """The layer's weights."""
        if not isinstance(self.layer.transform, Dense | Convolution):
            raise TypeError(f"{self.layer.label}: a layer has weights")
        return self.layer.transform

    @property
    def vanishing(self) -> tuple[Linear, ...]:
        """Operators that are added in the sum's turn, when all its inputs exist."""
        return (self.layer,) if self.scale is None else (self.layer, self.scale)

    def factor(self, b: Buffers, order: Order, pixels: int) -> NDArray:
        """The factor of its counts, `(pixels or 1, channels)`."""
        factor = 1.0 if self.scale is None else _single(self.scale)
        (rows,) = b.per_pixel(factor, self.total.output, order, pixels)
        return rows


def shortcuts(b: Buffers) -> dict[ScaledSum, Shortcut]:
    """The sums of a region that a layer's kernel makes."""
    sums = (op for op in b.op.operators if isinstance(op, ScaledSum))
    found = (shortcut_of(b, op) for op in sums)
    return {one.total: one for one in found if one is not None}


def shortcut_of(b: Buffers, op: ScaledSum) -> Shortcut | None:
    """Two terms alone: their sum is the same in either order. None for every other sum."""
    if b.op.loops:  # step by step, where lists of events do not pay
        return None
    if len(set(op.inputs)) != 2 or len(op.inputs) != 2 or op.output in b.op.counts:
        return None
    if len(b.program.shapes[op.output]) < 2:  # vectors may be added many at once
        return None
    for signal, other in (op.inputs, op.inputs[::-1]):
        layer = b.maker_of.get(signal)
        if (
            isinstance(layer, Linear)
            and b.alone(signal, ScaledSum) is op
            and _sums_events(b, layer)
        ):
            scale = _scale_of(b, other, op)
            brought = other if scale is None else scale.inputs[0]
            if b.inside(brought):
                return Shortcut(op, layer, brought, scale)
    return None


def _sums_events(b: Buffers, op: Linear) -> bool:
    """Whether this layer's kernel makes currents of lists of events, all channels at once."""
    (signal,) = op.inputs
    if signal not in b.op.counts and signal not in b.op.whole:
        return False
    if isinstance(op.transform, Dense):
        return True
    return isinstance(op.transform, Convolution) and op.transform.groups == 1


def _scale_of(b: Buffers, signal: int, total: ScaledSum) -> Linear | None:
    """The scale that makes a signal of counts, if it rounds once and serves this sum alone."""
    op = b.maker_of.get(signal)
    if not isinstance(op, Linear) or not isinstance(op.transform, Scale):
        return None
    once = op.factor == 1.0 or bool(np.all(np.asarray(op.transform.factor) == 1.0))
    alone = b.alone(signal, ScaledSum) is total
    return op if once and alone and op.inputs[0] in b.op.counts else None


def _single(scale: Linear) -> NDArray:
    """The one factor of a product that is rounded once."""
    if not isinstance(scale.transform, Scale):
        raise TypeError(f"{scale.label}: no Scale")
    return np.asarray(scale.transform.factor, np.float64) * scale.factor
