"""Transforms: the linear maps that live on connections.

Shapes leave batch and time out. Arrays of weights are kept as given; an engine decides the grid
they are held on.
"""

from __future__ import annotations

from typing import Any

from spikewright._base.arguments import as_numbers
from spikewright._base.windows import Windows
from spikewright.errors import NetworkError
from spikewright.network.shapes import Shape
from spikewright.network.transforms.layout import (
    TRANSFORMS,
    Chain,
    Permute,
    Place,
    Reshape,
    Slice,
    Take,
    Transform,
    flatten,
    register,
)
from spikewright.network.transforms.weights import AxisMap, Dense, Scale, Sparse
from spikewright.network.transforms.windows import (
    Convolution,
    ConvolutionTranspose,
    SumPool,
    transposed,
)

__all__ = [
    "TRANSFORMS",
    "AxisMap",
    "Chain",
    "Convolution",
    "ConvolutionTranspose",
    "Dense",
    "Permute",
    "Place",
    "Reshape",
    "Scale",
    "Shape",
    "Slice",
    "Sparse",
    "SumPool",
    "Take",
    "Transform",
    "Windows",
    "as_transform",
    "flatten",
    "register",
    "transposed",
]


def as_transform(value: Any, where: str) -> Transform | None:
    """A transform from what a user gave: a number or vector scales, a matrix is dense or sparse.

    Raises `NetworkError` naming `where` for anything else.
    """
    if value is None or isinstance(value, Transform):
        return value
    if hasattr(value, "tocoo"):  # a sparse matrix of SciPy's
        return Sparse(value.shape, init=value)
    try:
        array = as_numbers(value)
    except (TypeError, ValueError):
        hint = "; give a function by its name, function=" if callable(value) else ""
        raise NetworkError(
            f"{where}: a transform is None, a number, a vector, a matrix, a distribution or a "
            f"Transform, got {value!r}{hint}"
        ) from None
    if array.ndim == 2:
        return Dense(array)
    if array.ndim < 2:
        return Scale(array)
    raise NetworkError(
        f"{where}: an array of {array.ndim} axes is no transform; use Convolution or Scale"
    )
