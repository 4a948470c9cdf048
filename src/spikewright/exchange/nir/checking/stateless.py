"""Nodes without a state: linear maps, pools and what only passes values on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.exchange.nir.checking.wiring import kind


class NotSimulated(Exception):
    """A node has no equation here, so that nothing can be said of its reader."""


def apply(node: Any, x: NDArray) -> NDArray:
    """The value of a node without state; raises `NotSimulated`."""
    make = _MAPS.get(kind(node))
    if make is None:
        raise NotSimulated(f"a {kind(node)} has no equation in the check")
    return make(node, x)


def _affine(node: Any, x: NDArray) -> NDArray:
    bias = getattr(node, "bias", None)
    product = x @ np.asarray(node.weight, np.float64).T
    return product if bias is None else product + bias


def _convolution(node: Any, x: NDArray) -> NDArray:
    weight = np.asarray(node.weight, np.float64)
    rank = weight.ndim - 2
    windows = _windows(node, weight.shape[2:], _each(node.dilation, rank))
    patches = windows.patches(np.moveaxis(x, 1, -1))  # (batch, *places, taps, channels)
    outputs = []
    for group, part in enumerate(np.split(weight, node.groups)):
        wide = part.shape[1]
        seen = patches[..., group * wide : (group + 1) * wide]
        kernel = part.reshape(len(part), wide, -1)
        outputs.append(np.tensordot(seen, kernel, ((-1, -2), (1, 2))))
    y = np.concatenate(outputs, -1) + (0.0 if node.bias is None else node.bias)
    return np.moveaxis(y, -1, 1)


def _pool(node: Any, x: NDArray) -> NDArray:
    size = _each(node.kernel_size, x.ndim - 2)
    patches = _windows(node, size, (1,) * len(size)).patches(np.moveaxis(x, 1, -1))
    total = patches.sum(-2)
    total = total / np.prod(size) if kind(node) == "AvgPool2d" else total
    return np.moveaxis(total, -1, 1)


def _windows(node: Any, size: tuple[int, ...], dilation: tuple[int, ...]) -> Windows:
    stride = _each(node.stride, len(size))
    if isinstance(node.padding, str):  # "valid" is none; "same" has half before, the rest behind
        same = node.padding == "same"
        reach = [d * (s - 1) * same for s, d in zip(size, dilation, strict=True)]
        return Windows(size, stride, tuple((r // 2, r - r // 2) for r in reach), dilation)
    pads = _each(node.padding, len(size))
    return Windows(size, stride, tuple((p, p) for p in pads), dilation)


def _each(value: Any, rank: int) -> tuple[int, ...]:
    """A number, or one an axis, as one an axis."""
    return tuple(int(v) for v in np.broadcast_to(value, (rank,)))


def _flatten(node: Any, x: NDArray) -> NDArray:
    """Its dimensions count from the first behind the batch."""
    last = x.ndim - 1 if node.end_dim == -1 else node.end_dim + 1
    first = node.start_dim + 1
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


_MAPS: dict[str, Callable[[Any, NDArray], NDArray]] = {
    "Input": lambda node, x: x,
    "Output": lambda node, x: x,
    "Affine": _affine,
    "Linear": _affine,
    "Scale": lambda node, x: x * node.scale,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
}
