"""Transforms that move values without weights, and chains of transforms."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import check_unmasked, immutable
from spikewright.errors import NetworkError
from spikewright.network.attributes import ClassRegistry
from spikewright.network.shapes import Shape, as_shape, require, whole_numbers

TRANSFORMS = ClassRegistry("transform")
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


@register
@dataclass(frozen=True)
class Reshape(Transform):
    """The same values in row-major order under another shape."""

    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", as_shape(self.shape, "Reshape.shape"))

    def output_shape(self, shape: Shape) -> Shape:
        require(
            math.prod(shape) == math.prod(self.shape),
            f"Reshape: {math.prod(shape)} values of shape {shape} do not fill {self.shape}",
        )
        return self.shape


@register
@dataclass(frozen=True)
class Permute(Transform):
    """Output axis `i` is input axis `axes[i]`."""

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", whole_numbers("Permute.axes", self.axes, 0))

    def output_shape(self, shape: Shape) -> Shape:
        require(
            sorted(self.axes) == list(range(len(shape))),
            f"Permute: {self.axes} is no permutation of the axes of shape {shape}",
        )
        return tuple(shape[axis] for axis in self.axes)


@dataclass(frozen=True)
class _Ranges(Transform):
    """A transform between an array and a part of it."""

    ranges: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", _ranges(type(self).__name__, self.ranges))

    @property
    def index(self) -> tuple[slice, ...]:
        """The part as an index."""
        return tuple(slice(*r) for r in self.ranges)

    @property
    def extent(self) -> Shape:
        """The shape of the part."""
        return tuple(len(range(*r)) for r in self.ranges)


@register
@dataclass(frozen=True)
class Slice(_Ranges):
    """A part of the input: `(start, stop, step)` per axis, steps above 0."""

    def output_shape(self, shape: Shape) -> Shape:
        _check_ranges("Slice", self.ranges, shape)
        return self.extent


@register
@dataclass(frozen=True)
class Place(_Ranges):
    """The input put at `(start, stop, step)` per axis of zeros of shape `shape`."""

    shape: Shape

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shape", as_shape(self.shape, "Place.shape"))

    def output_shape(self, shape: Shape) -> Shape:
        _check_ranges("Place", self.ranges, self.shape)
        does = f"an input of shape {shape} does not fill {self.extent}"
        require(shape == self.extent, f"Place: {does}")
        return self.shape


@register
@dataclass(frozen=True, eq=False)
class Take(Transform):
    """Entry `i` along `axis` is the input's entry `indices[i]`: repeats, reverses, reflects."""

    indices: NDArray
    axis: int

    def __post_init__(self) -> None:
        given = np.array(self.indices)
        require(
            given.dtype.kind in "iu" and given.ndim == 1,
            f"Take.indices must be whole numbers along one axis, got {given.dtype} of shape "
            f"{given.shape}",
        )
        indices = given.astype(np.int64)
        require(bool(np.all(indices >= 0)), "Take.indices must be 0 or more")
        indices.setflags(write=False)
        object.__setattr__(self, "indices", indices)
        (axis,) = whole_numbers("Take.axis", (self.axis,), 0)
        object.__setattr__(self, "axis", axis)

    def output_shape(self, shape: Shape) -> Shape:
        require(
            self.axis < len(shape) and self.indices.max(initial=-1) < shape[self.axis],
            f"Take: indices up to {self.indices.max(initial=-1)} along axis {self.axis} do not lie "
            f"in an input of shape {shape}",
        )
        return (*shape[: self.axis], len(self.indices), *shape[self.axis + 1 :])


@register
@dataclass(frozen=True, eq=False)
class Chain(Transform):
    """Several transforms one after the other, the first of `parts` first."""

    parts: tuple[Transform, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        bad = [part for part in self.parts if not isinstance(part, Transform)]
        require(not bad, f"Chain.parts must be transforms, got {bad[:1]!r}")

    def output_shape(self, shape: Shape) -> Shape:
        for part in self.parts:
            shape = part.output_shape(shape)
        return shape

    @property
    def weights(self) -> NDArray:
        """Those of the one part that has weights."""
        weighted = [p for p in flatten(self) if type(p).weights is not Transform.weights]
        return weighted[0].weights if len(weighted) == 1 else super().weights

    def made(self, rng: np.random.Generator) -> Transform:
        made = tuple(part.made(rng) for part in self.parts)
        alike = all(a is b for a, b in zip(made, self.parts, strict=True))
        return self if alike else Chain(made)


def flatten(transform: Transform | None) -> tuple[Transform, ...]:
    """A transform as the sequence of transforms that it is made of."""
    if transform is None:
        return ()
    if isinstance(transform, Chain):
        return tuple(inner for part in transform.parts for inner in flatten(part))
    return (transform,)


def _ranges(what: str, ranges: Any) -> tuple[tuple[int, int, int], ...]:
    """Ranges as whole numbers, each `(start, stop, step)`."""
    checked = tuple(whole_numbers(f"{what}.ranges", r, 0) for r in ranges)
    require(
        all(len(r) == 3 for r in checked),
        f"{what}.ranges must be (start, stop, step) per axis, got {ranges!r}",
    )
    return checked  # type: ignore[return-value]


def _check_ranges(what: str, ranges: tuple[tuple[int, int, int], ...], shape: Shape) -> None:
    fits = len(ranges) == len(shape) and all(
        0 <= start <= stop <= n and step >= 1
        for (start, stop, step), n in zip(ranges, shape, strict=True)
    )
    require(fits, f"{what}: ranges {ranges} do not lie in shape {shape}")
