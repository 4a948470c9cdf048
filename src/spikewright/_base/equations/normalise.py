"""Functions that set values against their neighbours: softmax and the normalisations."""

from __future__ import annotations

from typing import Any

Array = Any
Axes = tuple[int, ...]


def softmax(xp: Any, x: Array, axis: int) -> Array:
    """`exp(x) / sum exp(x)` along a (negative) axis, shifted so that it never overflows."""
    e = xp.exp(x - xp.amax(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


def log_softmax(xp: Any, x: Array, axis: int) -> Array:
    """`x - ln sum exp(x)` along a (negative) axis."""
    shifted = x - xp.amax(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def layer_normalization(xp: Any, x: Array, axes: Axes, epsilon: float) -> Array:
    """`(x - mean) / sqrt(variance + epsilon)` over (negative) axes (Ba et al. 2016)."""
    centred = x - xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(centred * centred, axis=axes, keepdims=True)
    return centred / xp.sqrt(variance + epsilon)


def group_normalization(
    xp: Any, x: Array, groups: int, axis: int, rank: int, epsilon: float
) -> Array:
    """Layer normalisation of every group of channels over all other axes (Wu & He 2018).

    `axis` is the channels', negative; the last `rank` axes are a sample's.
    """
    shape = x.shape
    at = len(shape) + axis
    split = x.reshape(*shape[:at], groups, shape[at] // groups, *shape[at + 1 :])
    first = len(shape) - rank
    rest = (i for i in range(first, len(shape) + 1) if i != at)
    axes = tuple(i - len(shape) - 1 for i in rest)
    return layer_normalization(xp, split, axes, epsilon).reshape(shape)


def rms_normalization(xp: Any, x: Array, axes: Axes, epsilon: float) -> Array:
    """`x / sqrt(mean x^2 + epsilon)` over (negative) axes (Zhang & Sennrich 2019)."""
    return x / xp.sqrt(xp.mean(x * x, axis=axes, keepdims=True) + epsilon)


def unit_normalization(xp: Any, x: Array, axes: Axes, epsilon: float) -> Array:
    """`x / max(|x|, epsilon)`, `|x|` the Euclidean norm over (negative) axes."""
    norm = xp.sqrt(xp.sum(x * x, axis=axes, keepdims=True))
    return x / xp.maximum(norm, epsilon)
