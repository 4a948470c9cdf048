"""Python code as a function of nodes, which no file holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.functions import Array, NodeFunction
from spikewright.network.shapes import Shape


@dataclass(frozen=True, eq=False)
class PythonCall(NodeFunction):
    """A Python function of arrays of `shapes`, which stand one after the other in a flat input.

    `function` takes an array `(samples, *shape)` for each and returns one `(samples, *made)`; all
    samples and steps of a block come at once, so it must treat them independently and keep no
    state. `called` describes the called code in words.
    """

    function: Callable[..., NDArray]
    shapes: tuple[Shape, ...]
    made: Shape
    called: str
    accumulate: bool = False
    stateless: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        size = sum(map(math.prod, self.shapes))
        if shape != (size,):
            raise NetworkError(f"PythonCall of {self.called} takes {size} values, got {shape}")
        return self.made

    def apply(self, xp: Any, x: Array) -> Array:
        lead = tuple(x.shape[:-1])
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = [
            x[..., end - math.prod(shape) : end].reshape(-1, *shape)
            for end, shape in zip(ends.tolist(), self.shapes, strict=True)
        ]
        return xp.called(self.function, *parts).reshape(*lead, *self.made)
