"""Layers with several inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers.base import Layer, Shape, normalise_axis, register, require
from spikewright.graph.layers.steps import Acts


@register
@dataclass(frozen=True)
class Add(Layer):
    """Sum of one or more inputs of one shape."""

    arity = None
    linear = True
    acts = Acts()

    def output_shape(self, *shapes: Shape) -> Shape:
        require(len(set(shapes)) == 1, f"Add: inputs of shapes {list(shapes)} do not match")
        return shapes[0]

    def evaluate(self, *values: NDArray) -> NDArray:
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


@register
@dataclass(frozen=True)
class Concatenate(Layer):
    """Inputs side by side along an axis of the unbatched shape."""

    axis: int
    arity = None
    linear = True
    acts = Acts("axis", reason="it joins sequences one behind the other")

    def output_shape(self, *shapes: Shape) -> Shape:
        axis = normalise_axis(self.axis, len(shapes[0]), "Concatenate")
        rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        same_rank = len({len(shape) for shape in shapes}) == 1
        require(
            len(rest) == 1 and same_rank,
            f"Concatenate: inputs of shapes {list(shapes)} differ beside axis {axis}",
        )
        total = sum(shape[axis] for shape in shapes)
        return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])

    def evaluate(self, *values: NDArray) -> NDArray:
        axis = normalise_axis(self.axis, values[0].ndim - 1, "Concatenate")
        return np.concatenate(values, axis=axis + 1)
