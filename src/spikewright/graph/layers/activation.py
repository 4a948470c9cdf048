"""Activations, by name, and the rectifier with a slope a channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base import equations
from spikewright._base.equations import CURVES, NUMPY
from spikewright.graph.layers.base import (
    Layer,
    Shape,
    normalise_axis,
    register,
    require,
    require_broadcast,
)
from spikewright.graph.layers.time_semantics import TimeSemantics, in_front, remaining

OVER_AXIS: Mapping[str, Callable[..., NDArray]] = MappingProxyType(
    {"softmax": equations.softmax, "log_softmax": equations.log_softmax}
)
"""The activations that are not elementwise: they normalise along a parameter `axis`."""

ACTIVATIONS: tuple[str, ...] = (*CURVES, *OVER_AXIS)
"""Every activation by name."""


@register
@dataclass(frozen=True)
class Activation(Layer):
    """`y = f(x)` for a named `f`, elementwise but for those in `OVER_AXIS`.

    `parameters` are keyword arguments of the function; `softmax` and `log_softmax` take the
    (unbatched) `axis`, the last by default.
    """

    function: str
    parameters: Mapping[str, float] = field(default_factory=dict)

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        name = self.function
        require(
            name in ACTIVATIONS,
            f"Activation: {name!r} is unknown; known are {', '.join(sorted(ACTIVATIONS))}",
        )
        if name in CURVES:
            problem = CURVES[name].problem(self.parameters)
            require(problem is None, f"Activation: {name!r} {problem}")
        else:
            unknown = sorted(set(self.parameters) - {"axis"})
            require(not unknown, f"Activation: {name!r} has no parameter {unknown}")
            normalise_axis(int(self.parameters.get("axis", -1)), len(shape), name)
        return shape

    def over_steps(self, steps: int, *shapes: Shape) -> Activation:
        return replace(self, parameters=self._with_axis(in_front))

    def at_one_step(self, time: int, *shapes: Shape) -> tuple[Activation, int]:
        rank = len(shapes[0])
        if not self.elementwise:
            remaining(self.axis(rank), rank, time)
        changed = self._with_axis(lambda axis: remaining(axis, rank, time))
        return replace(self, parameters=changed), time

    def _with_axis(self, change: Callable[[int], int]) -> Mapping[str, float]:
        """The parameters, a changed axis among them if there is one."""
        return {n: change(int(v)) if n == "axis" else v for n, v in self.parameters.items()}

    def axis(self, rank: int) -> int:
        """The axis of `softmax` and `log_softmax` on an (unbatched) rank, counted from the end."""
        return normalise_axis(int(self.parameters.get("axis", -1)), rank, self.function) - rank

    @property
    def elementwise(self) -> bool:
        """Whether every value depends on one value."""
        return self.function in CURVES

    @property
    def partial(self) -> bool:
        return self.elementwise and CURVES[self.function].domain != "all"

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        found: NDArray = self.of(NUMPY, x)
        return found

    def of(self, xp: Any, x: Any) -> Any:
        """`f(x)` of `(batch, *shape)`, an array of the library whose functions `xp` has."""
        if self.elementwise:
            return CURVES[self.function](xp, x, self.parameters)
        return OVER_AXIS[self.function](xp, x, self.axis(x.ndim - 1))


@register
@dataclass(frozen=True, eq=False)
class ParametricReLU(Layer):
    """`y = x` where `x >= 0`, else `slope x`; `slope` broadcasts against the unbatched input."""

    slope: NDArray
    acts = TimeSemantics(arrays=("slope",))

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require_broadcast("ParametricReLU", "slope", self.slope, shape)
        return shape

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        return np.where(x >= 0, x, self.slope * x)
