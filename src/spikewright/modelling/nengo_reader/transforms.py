"""Transforms: Nengo's, sampled as it samples them, as maps between flat vectors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.modelling.nengo_reader.kinds import own_kind
from spikewright.modelling.nengo_reader.refusals import refused
from spikewright.network.transforms import (
    Chain,
    Convolution,
    ConvolutionTranspose,
    Dense,
    Reshape,
    Scale,
    Sparse,
)
from spikewright.network.transforms import Transform as OurTransform


class Sampled(NamedTuple):
    """A transform and its weights as `sim.data[connection].weights` shows them (None: none)."""

    transform: OurTransform | None
    weights: Any


def transform_of(connection: Any, rng: np.random.RandomState, given: Any = None) -> Sampled:
    """A connection's transform, with random weights drawn from `rng`, or with weights `given`.

    Raises `ReadError` naming the connection for a transform that is not Nengo's.
    """
    theirs = connection.transform
    kind = own_kind(theirs)
    if theirs is None or kind == "NoTransform":
        return Sampled(None, None)
    if kind not in _READERS:
        raise refused(
            connection,
            f"transform {type(theirs).__name__}",
            "what it computes is not known",
            "use one of " + ", ".join(["NoTransform", *_READERS]),
        )
    weights = theirs.sample(rng=rng) if given is None else given
    return Sampled(_READERS[kind](theirs, weights), weights)


def _dense(theirs: Any, weights: Any) -> OurTransform:
    array = np.array(weights, np.float64)
    return Dense(array) if array.ndim == 2 else Scale(array)


def _sparse(theirs: Any, weights: Any) -> OurTransform:
    out, size = theirs.shape
    return Sparse(*entries_of(weights), (int(out),), int(size))


def entries_of(weights: Any) -> tuple[NDArray, NDArray, NDArray]:
    """Rows, columns and values of sparse weights, SciPy's or Nengo's."""
    if hasattr(weights, "tocoo"):
        entries = weights.tocoo()
        return entries.row, entries.col, np.array(entries.data, np.float64)
    rows, columns = np.asarray(weights.indices).reshape(-1, 2).T
    return rows, columns, np.array(np.broadcast_to(weights.data, rows.shape), np.float64)


def _shape(theirs: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in theirs.shape)


def _pads(theirs: Any, large: NDArray, small: NDArray) -> list[tuple[int, int]]:
    """Zeros before and after each axis of the larger side, for the size of the smaller one."""
    if theirs.padding == "valid":
        return [(0, 0)] * len(large)
    size, stride = np.array(theirs.kernel_size), np.array(theirs.strides)
    total = np.maximum((small - 1) * stride + size - large, 0)
    return [(int(n // 2), int(n - n // 2)) for n in total]


def _spatial(theirs: Any, shape: Any) -> NDArray:
    axes = _shape(shape)
    return np.array(axes[:-1] if theirs.channels_last else axes[1:])


def _convolution(theirs: Any, weights: Any) -> OurTransform:
    """A map of images: `(*size, in / groups, out)` kernels are `(out, in / groups, *size)` here."""
    kernel = np.moveaxis(np.array(weights, np.float64), (-1, -2), (0, 1))
    extents = (_spatial(theirs, shape) for shape in (theirs.input_shape, theirs.output_shape))
    convolution = Convolution(
        kernel,
        stride=tuple(int(n) for n in theirs.strides),
        padding=tuple(_pads(theirs, *extents)),
        groups=int(getattr(theirs, "groups", 1)),
        channels_last=bool(theirs.channels_last),
    )
    shape = _shape(theirs.input_shape)
    made = convolution.output_shape(shape)
    return Chain((Reshape(shape), convolution, Reshape((math.prod(made),))))


def _transposed(theirs: Any, weights: Any) -> OurTransform:
    """The transpose of a convolution, as ours in the same terms."""
    numbers = np.array(weights, np.float64)
    found = ConvolutionTranspose(
        n_filters=numbers.shape[-1],
        input_shape=_shape(theirs.input_shape),
        output_shape=_shape(theirs.output_shape),
        kernel_size=theirs.kernel_size,
        strides=theirs.strides,
        padding=theirs.padding,
        channels_last=bool(theirs.channels_last),
        init=numbers,
        groups=int(getattr(theirs, "groups", 1)),
    )
    return found.make(numbers)


_READERS: dict[str, Any] = {
    "Dense": _dense,
    "Sparse": _sparse,
    "Convolution": _convolution,
    "ConvolutionTranspose": _transposed,
}
