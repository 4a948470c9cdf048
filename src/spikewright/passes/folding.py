"""The algebra of folding: an elementwise map `y = scale x + shift` into the affine layer beside it.

All of it in float64, and so are the weights that result, whatever the source model's were: a fold
then costs a few units in the last place instead of the source's whole precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import (
    Affine,
    BatchNormalization,
    Convolution,
    ConvolutionTranspose,
    Layer,
    ScaleShift,
)
from spikewright.graph.layers.base import Shape


@dataclass(frozen=True, eq=False)
class PerChannel:
    """`y = scale x + shift` along the channel axis; float64 `(channels,)` each."""

    scale: NDArray
    shift: NDArray


Weighted = Affine | Convolution | ConvolutionTranspose


def channel_axis(layer: Weighted, rank: int) -> int:
    """The axis that a layer's channels lie on, in inputs and outputs of this (unbatched) rank."""
    last = isinstance(layer, Affine) or layer.channels_last
    return rank - 1 if last else 0


def per_channel(layer: Layer, shape: Shape, axis: int) -> PerChannel | None:
    """An elementwise layer on inputs of `shape` as a map along `axis`, or None if it is not one."""
    if isinstance(layer, BatchNormalization):
        same_axis = layer.axis % len(shape) == axis
        return PerChannel(*layer.scale_and_shift()) if same_axis else None
    if isinstance(layer, ScaleShift):
        scale = _along(layer.scale, 1.0, shape, axis)
        shift = _along(layer.shift, 0.0, shape, axis)
        return None if scale is None or shift is None else PerChannel(scale, shift)
    return None


def _along(value: NDArray | None, default: float, shape: Shape, axis: int) -> NDArray | None:
    """A value that broadcasts to `shape` as `(channels,)`; None if it varies on other axes."""
    wide = np.asarray(default if value is None else value, np.float64)
    wide = wide.reshape((1,) * (len(shape) - wide.ndim) + wide.shape)
    if any(n != 1 for i, n in enumerate(wide.shape) if i != axis):
        return None
    return np.broadcast_to(wide.reshape(-1), (shape[axis],))


def fold_after(layer: Weighted, outer: PerChannel) -> Weighted:
    """The layer whose output is `outer` of this layer's output.

    `W' = W s`, `b' = b s + t`: with batch normalisation's s and t, `W g/sigma` and
    `(b - mean) g/sigma + beta`.
    """
    if isinstance(layer, ConvolutionTranspose):  # its weights are (in, out / groups, ...)
        inputs, outputs, *size = layer.weight.shape
        rows = outer.scale.reshape(layer.groups, outputs)
        factors = np.repeat(rows, inputs // layer.groups, axis=0)
        factors = factors.reshape(inputs, outputs, *(1,) * len(size))
    else:
        factors = _rows(outer.scale, layer.weight.ndim)
    weight = factors * np.asarray(layer.weight, np.float64)
    bias = outer.shift if layer.bias is None else layer.bias * outer.scale + outer.shift
    keep_none = layer.bias is None and not np.any(bias)
    return replace(layer, weight=weight, bias=None if keep_none else bias)


def fold_before(layer: Affine | Convolution, inner: PerChannel) -> Affine | Convolution | None:
    """The layer equal to this layer after `inner`, `x s + t`; None if there is none.

    `W' = W s`, `b' = b + W t`. A shift cannot pass zero padding: the padding would have to become
    the shifted zero.
    """
    weight = np.asarray(layer.weight, np.float64)
    scale, shift = _per_weight(layer, inner.scale), _per_weight(layer, inner.shift)
    if not np.any(shift):
        return replace(layer, weight=weight * scale)
    if isinstance(layer, Convolution) and any(map(any, layer.padding)):
        return None
    constant = (weight * shift).reshape(len(weight), -1).sum(axis=1)
    bias = constant if layer.bias is None else layer.bias + constant
    return replace(layer, weight=weight * scale, bias=bias)


def _rows(values: NDArray, rank: int) -> NDArray:
    return values.reshape(-1, *(1,) * (rank - 1))


def _per_weight(layer: Affine | Convolution, channels: NDArray) -> NDArray:
    """Values per input channel, laid out to multiply the weights `(out, in / groups, ...)`."""
    out, inner, *size = layer.weight.shape
    groups = layer.groups if isinstance(layer, Convolution) else 1
    rows = np.repeat(channels.reshape(groups, inner), out // groups, axis=0)
    return rows.reshape(out, inner, *(1,) * len(size))
