"""The base class of layers, and the registry of every kind of layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from functools import cache
from typing import ClassVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from spikewright._base.registries import Registry
from spikewright.errors import GraphError
from spikewright.graph.layers.time_semantics import AlongTimeError, Shape, TimeSemantics

LAYERS: Registry[type[Layer]] = Registry("layer")
"""Every registered kind of layer, by name (read only)."""


class Layer(ABC):
    """One operation of an analog network: no time, no state.

    Layers are frozen dataclasses. Shapes leave the batch axis out; values have it first.
    `arity` is the number of inputs (None: one or more); a `linear` layer is affine in its inputs.
    `acts` says how it acts on axes (None: in a way of its own).
    """

    arity: ClassVar[int | None] = 1
    linear: ClassVar[bool] = False
    acts: ClassVar[TimeSemantics | None] = None

    def __post_init__(self) -> None:
        """Make arrays of NumPy's scalars, which its arithmetic makes of arrays without axes."""
        for name in _array_fields(type(self)):
            value = getattr(self, name)
            if isinstance(value, np.generic):
                object.__setattr__(self, name, np.asarray(value))

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape of the output for inputs of these shapes; raises `GraphError` if they misfit."""

    @abstractmethod
    def evaluate(self, *values: NDArray) -> NDArray:
        """The layer's equation on float64 arrays `(batch, *shape)`."""

    def over_steps(self, steps: int, *shapes: Shape) -> Layer | None:
        """The layer that does to whole sequences what this one does to each of their steps.

        `shapes` are those of one step; sequences are `(steps, *shape)`. None if there is none.
        """
        known = self.acts is not None and len(set(map(len, shapes))) == 1
        return self.acts.over_steps(self, steps) if self.acts and known else None

    def at_one_step(self, time: int, *shapes: Shape) -> tuple[Layer, int]:
        """The layer that does to one step what this one does to sequences of these shapes.

        `time` is the axis of time in the input with most axes; inputs with fewer have it as far
        from the end, or lack it. Also returns the axis of time in this layer's output. Raises
        `AlongTimeError` with the reason where it acts along time, or is not known not to.
        """
        if self.acts is None:
            raise AlongTimeError(f"{self.kind} is not known to act on every step alone")
        made: tuple[Layer, int] = self.acts.at_one_step(self, time, shapes)
        return made

    def multiply_accumulates(self, *shapes: Shape) -> int:
        """Products that the layer sums, for one sample with inputs of these shapes.

        Padding and cropped positions count. Elementwise products, sums, maxima and moves sum no
        products. As is customary (resnet18 at 224 x 224 has 1.81e9), a batch normalisation folds
        into weights.
        """
        return 0

    @property
    def partial(self) -> bool:
        """True for a layer whose value is infinite or NaN at some inputs, zero or below it."""
        return False

    @property
    def kind(self) -> str:
        """The registered name of this kind of layer."""
        return type(self).__name__

    def arrays(self) -> dict[str, NDArray]:
        """The layer's arrays by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


@cache
def _array_fields(kind: type[Layer]) -> tuple[str, ...]:
    """Names of the fields that are annotated as arrays, or as arrays or None."""
    return tuple(
        name
        for name, hint in get_type_hints(kind).items()
        if np.ndarray in (get_origin(hint), *map(get_origin, get_args(hint)))
    )


register = LAYERS.enter
"""Class decorator: make a kind of layer known to files, tests and documentation by its name."""


def require(condition: bool, message: str) -> None:
    """Raise `GraphError(message)` unless the condition holds."""
    if not condition:
        raise GraphError(message)


def normalise_axis(axis: int, rank: int, what: str) -> int:
    """`axis` counted from the front, or a `GraphError` that names the layer's rank."""
    require(-rank <= axis < rank, f"{what}: axis {axis} does not exist in an input of rank {rank}")
    return axis % rank


def require_broadcast(kind: str, name: str, value: NDArray, shape: Shape) -> None:
    """Raise `GraphError` unless `value` broadcasts to the (unbatched) `shape`."""
    fits = value.ndim <= len(shape) and all(
        n in (1, m) for n, m in zip(value.shape[::-1], shape[::-1], strict=False)
    )
    require(fits, f"{kind}: {name} of shape {value.shape} does not broadcast to {shape}")


def normalise_axes(axes: tuple[int, ...], shape: Shape, what: str) -> tuple[int, ...]:
    """Different axes counted from the front, in order; raises `GraphError` otherwise."""
    found = {normalise_axis(axis, len(shape), what) for axis in axes}
    require(len(found) == len(axes), f"{what}: axes {axes} name an axis of {shape} twice")
    return tuple(sorted(found))
