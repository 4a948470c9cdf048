"""The base of transforms, and the checks that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import check_unmasked
from spikewright._base.arrays import immutable
from spikewright.errors import NetworkError
from spikewright.network.attributes import Registry
from spikewright.network.shapes import Shape

TRANSFORMS = Registry("transform")
"""Every registered transform, by name (read only)."""

register = TRANSFORMS.register


class Transform(ABC):
    """A linear map from one shape to another."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the image of an input of `shape`; raises `NetworkError` if it does not fit."""

    def made(self, rng: np.random.Generator) -> Transform:
        """The map as it is run, random weights drawn from `rng`; itself if it has none."""
        return self

    @property
    def weights(self) -> NDArray:
        """The map's parameters, as `sim.data[connection].weights` gives them."""
        return np.array(1.0)


def require(condition: bool, message: str) -> None:
    """Raise `NetworkError` unless the condition holds."""
    if not condition:
        raise NetworkError(message)


def _check_finite(owner: Transform, name: str, value: NDArray) -> None:
    bad = int(value.size - np.isfinite(value).sum())
    require(bad == 0, f"{type(owner).__name__}.{name}: {bad} of {value.size} values are not finite")


def freeze_array(owner: Transform, name: str, value: ArrayLike) -> NDArray:
    """Set a field to a read-only copy of its value, floating point; raises `NetworkError`.

    An array that nobody can write is not copied.
    """
    try:
        check_unmasked(value)
    except TypeError as error:
        raise NetworkError(f"{type(owner).__name__}.{name}: {error}") from None
    array = value if immutable(value) else np.array(value)
    if array.dtype.kind not in "fiub":
        raise NetworkError(f"{type(owner).__name__}.{name} must be real numbers, got {value!r}")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    array.setflags(write=False)
    _check_finite(owner, name, array)
    object.__setattr__(owner, name, array)
    return array
